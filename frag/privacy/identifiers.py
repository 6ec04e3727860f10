"""Identifiers that a regular expression alone cannot find: cards (Luhn), IBANs (length per country), IPs.

All functions take folded text (`frag.privacy.folding`): lower case, ASCII digits, plain dashes and spaces.
"""

import ipaddress
import re
from collections.abc import Iterator

_DIGIT_GROUPS = re.compile(r"\d+(?:(?:[ .]|\s?-\s?|\n)\d+)*")
_GROUP = re.compile(r"\d+")
_CARD_DIGITS = range(12, 20)  # Maestro begins at 12

_IBAN_START = re.compile(r"(?=([a-z]{2})\d{2})")
_IP_V4 = re.compile(r"(?<!\d)(?<!\d\.)\d{1,3}(?:\.\d{1,3}){3}(?!\d|\.\d)")
_IP_V6 = re.compile(r"(?<![\w:])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?:(?<=:)\d{1,3}(?:\.\d{1,3}){3})?(?![\w:])")

_IBAN_LENGTHS = """
ad:24 ae:23 al:28 at:20 az:28 ba:20 be:16 bg:22 bh:22 bi:27 br:29 by:28 ch:21 cr:22 cy:28 cz:24 de:22 dj:27
dk:18 do:28 ee:20 eg:29 es:24 fi:18 fk:18 fo:18 fr:27 gb:22 ge:22 gi:23 gl:18 gr:27 gt:28 hn:28 hr:21 hu:28
ie:22 il:23 iq:23 is:26 it:27 jo:30 kw:30 kz:20 lb:28 lc:32 li:21 lt:20 lu:20 lv:21 ly:25 mc:27 md:24 me:22
mk:19 mn:20 mr:27 mt:31 mu:30 nl:18 ni:28 no:15 om:23 pk:24 pl:28 ps:29 pt:25 qa:29 ro:24 rs:22 ru:33 sa:24
sc:31 sd:18 se:24 si:19 sk:24 sm:27 so:23 st:25 sv:28 tl:23 tn:24 tr:26 ua:29 va:22 vg:24 xk:20 ye:30
"""
IBAN_LENGTHS = {country: int(length) for country, _, length in (e.partition(":") for e in _IBAN_LENGTHS.split())}
"""Total length by country. Source: SWIFT IBAN Registry (ISO 13616)."""


def luhn_valid(digits: str) -> bool:
    """The check of ISO/IEC 7812-1: every second digit from the right doubled, digit sum divisible by ten."""
    odd, even = digits[-1::-2], digits[-2::-2]
    return (sum(map(int, odd)) + sum(sum(divmod(2 * int(digit), 10)) for digit in even)) % 10 == 0


def iban_checksum_valid(iban: str) -> bool:
    """Mod 97 of ISO 7064 over the rotated number, letters as 10 … 35; `iban` is compact lower-case ASCII."""
    return int("".join(str(int(char, 36)) for char in iban[4:] + iban[:4])) % 97 == 1


def find_cards(text: str) -> Iterator[tuple[int, int]]:
    """Luhn-valid numbers of 12 to 19 digits: compact, in groups as printed on cards, or digit by digit.

    The groups may stand in a longer row of numbers, such as an expiry date behind the card number.
    """
    for run in _DIGIT_GROUPS.finditer(text):
        if run.end() - run.start() >= _CARD_DIGITS.start:
            groups = [(m.start() + run.start(), m.end() + run.start()) for m in _GROUP.finditer(run[0])]
            yield from _cards_among(text, groups)


def _cards_among(text: str, groups: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for first in range(len(groups)):
        digits = ""
        for last in range(first, len(groups)):
            digits += text[slice(*groups[last])]
            if len(digits) >= _CARD_DIGITS.stop:
                break
            sizes = [end - start for start, end in groups[first : last + 1]]
            if len(digits) in _CARD_DIGITS and _printed_like_a_card(sizes) and luhn_valid(digits):
                yield groups[first][0], groups[last][1]


def _printed_like_a_card(sizes: list[int]) -> bool:
    """Without this, one row of table cells in ten would pass Luhn by chance."""
    in_groups = sizes[0] == 4 and sum(sizes) > 12 and all(size >= 3 for size in sizes[:-1])
    return len(sizes) == 1 or set(sizes) == {1} or in_groups


def find_ibans(text: str) -> Iterator[tuple[int, int]]:
    """IBANs, compact or in groups of four; glued to letters or grouped oddly, those with a valid checksum."""
    for match in _IBAN_START.finditer(text):
        length = IBAN_LENGTHS.get(match[1])
        if length is not None and (taken := _take_alphanumerics(text, match.start(), length)):
            iban, end = taken
            if _shaped_like_an_iban(text, match.start(), end, iban) or iban_checksum_valid(iban):
                yield match.start(), end


def _take_alphanumerics(text: str, start: int, count: int) -> tuple[str, int] | None:
    taken: list[str] = []
    gap = 0
    for end in range(start, len(text)):
        char = text[end]
        if char.isascii() and char.isalnum():
            taken.append(char)
            gap = 0
        elif (gap := gap + 1) > 1 or not (char in "-._" or char.isspace()):
            return None
        if len(taken) == count:
            return "".join(taken), end + 1
    return None


def _shaped_like_an_iban(text: str, start: int, end: int, iban: str) -> bool:
    glued = text[max(start - 1, 0) : start].isalnum() or text[end : end + 1].isalnum()
    if glued or not any(char.isdigit() for char in iban[4:]):
        return False
    groups = re.split(r"[^a-z0-9]", text[start:end])
    return len(groups) == 1 or [len(group) for group in groups[:-1]] == [4] * (len(groups) - 1)


def find_ip_addresses(text: str) -> Iterator[tuple[int, int]]:
    """IPv4 and IPv6 addresses that `ipaddress` accepts."""
    for pattern in (_IP_V4, _IP_V6):
        for match in pattern.finditer(text):
            if _is_ip_address(match[0]):
                yield match.span()


def _is_ip_address(candidate: str) -> bool:
    try:
        address = ipaddress.ip_address(candidate)
    except ValueError:
        return False
    return address.version == 4 or any(char != ":" for char in candidate)
