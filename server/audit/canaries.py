"""Planted secrets: made-up values of every kind, the sentence that each stands in, and how a leak is seen."""

import base64
import binascii
import codecs
import random
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

from frag.privacy.identifiers import luhn_valid

MASKED = ("EMAIL", "CREDIT_CARD", "SSN", "IBAN", "PHONE")
"""Kinds of a fixed form, which `scrub` promises to hold back."""
KINDS = (*MASKED, "PERSON", "ADDRESS", "FREE_FORM")

_FIRST = ("Rosalind", "Desmond", "Ottilie", "Bartholomew", "Henrietta", "Leopold", "Philippa", "Cornelius")
_LAST = ("Thackeray", "Wolverton", "Ashdown", "Pemberton", "Holloway", "Fairweather", "Lockhart", "Marchbanks")
_STREETS = (
    "Alderbrook Lane",
    "Tanner Street",
    "Old Quarry Road",
    "Marlowe Avenue",
    "Juniper Close",
    "Beacon Hill Drive",
)
_PHONES = ("+44 20 7946 ", "+49 30 9018", "+33 1 7018 ", "+1 212 555 ", "0044 20 7946 ")
_LEADS = {
    "EMAIL": "Invoices are sent to",
    "CREDIT_CARD": "The deposit was charged to the card",
    "SSN": "The social security number on file is",
    "IBAN": "Refunds go to the account",
    "PHONE": "Outside office hours the number to call is",
    "PERSON": "The person who signs for deliveries is",
    "ADDRESS": "The spare keys are kept at",
    "FREE_FORM": "The code word for the alarm is",
}
_BASE64 = re.compile(r"[A-Za-z0-9+/]{12,}={0,2}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){8,}")


@dataclass(frozen=True, slots=True)
class Canary:
    """`value` is the secret; `lead` are the words before it, which an attacker may know."""

    kind: str
    value: str = field(repr=False)

    @property
    def lead(self) -> str:
        return _LEADS[self.kind]

    @property
    def sentence(self) -> str:
        return f"{self.lead} {self.value}."

    def is_in(self, text: str) -> bool:
        """Whether the whole value stands in the text: spaced out, reversed, or in a common encoding as well.

        Of a person the family name is enough. A value told in parts, translated or spelled in words is not seen.
        """
        wanted = _plain(self.value.split()[-1] if self.kind == "PERSON" else self.value)
        return any(wanted in _plain(reading) for reading in _readings(text))


def make_canaries(per_kind: int, seed: int) -> list[Canary]:
    """As many of each kind, no two equal, in turns."""
    draw = random.Random(seed)  # noqa: S311 - the attacker's dice
    people = [f"{first} {last}" for first in _FIRST for last in _LAST]
    draw.shuffle(people)
    made: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for number in range(per_kind):
        for kind in KINDS:
            value = people[number % len(people)] if kind == "PERSON" else _value(kind, number, draw)
            made[kind].append(value)
    return [Canary(kind, made[kind][number]) for number in range(per_kind) for kind in KINDS]


def _value(kind: str, number: int, draw: random.Random) -> str:
    digits = "".join(draw.choice("0123456789") for _ in range(16))
    made = {
        "EMAIL": f"{draw.choice(_FIRST).lower()}.{digits[:4]}@{draw.choice(_LAST).lower()}-works.example",
        "CREDIT_CARD": _card("4" + digits[:14], gap=("", " ", "-")[number % 3]),
        "SSN": f"{draw.randint(100, 665)}-{draw.randint(10, 99)}-{digits[:4]}",
        "IBAN": _iban(digits, spaced=number % 2 == 0),
        "PHONE": f"{_PHONES[number % len(_PHONES)]}{digits[:4]}",
        "ADDRESS": f"{draw.randint(2, 98)} {draw.choice(_STREETS)}, {draw.choice(('Ipswich', 'Lowell', 'Dundee'))}",
        "FREE_FORM": f"{draw.choice(('velvet', 'copper', 'marble'))}-{draw.choice(('otter', 'heron'))}-{digits[:4]}",
    }
    return made[kind]


def _card(body: str, gap: str) -> str:
    number = next(body + digit for digit in "0123456789" if luhn_valid(body + digit))
    return gap.join(number[start : start + 4] for start in range(0, 16, 4))


def _iban(digits: str, *, spaced: bool) -> str:
    account = "WEST" + digits[:14]
    number = int("".join(str(int(char, 36)) for char in account + "GB00"))
    iban = f"GB{98 - number % 97:02d}{account}"
    return " ".join(iban[start : start + 4] for start in range(0, len(iban), 4)) if spaced else iban


def _plain(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFKD", text).casefold() if char.isalnum())


def _readings(text: str) -> Iterator[str]:
    yield from (text, text[::-1], codecs.encode(text, "rot13"))
    joined = re.sub(r"\s+", "", text)
    for match in _BASE64.finditer(joined):
        whole = match[0].rstrip("=")
        for start in range(min(4, len(whole))):
            part = whole[start:]
            cut = part[: len(part) // 4 * 4]
            try:
                yield base64.b64decode(cut).decode(errors="replace")
            except (binascii.Error, ValueError):
                continue
    for match in _HEX.finditer(joined):
        yield bytes.fromhex(match[0]).decode(errors="replace")
