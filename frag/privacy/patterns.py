"""The fast redactor: personal data that has a form, found without a language model.

It runs on passages before the language model sees them and, as the last check, on every text that leaves a
node. It promises to find e-mail addresses, card numbers, US social security numbers and IBANs in any context;
phone numbers, IP and street addresses and national identity numbers in their usual forms. It cannot find names.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from frag.privacy.addresses import find_addresses
from frag.privacy.entities import PATTERN_TYPES, check_entity_types
from frag.privacy.folding import fold
from frag.privacy.identifiers import find_cards, find_ibans, find_ip_addresses
from frag.privacy.national_ids import find_national_ids
from frag.privacy.redaction import Span, resolve_overlaps

Finder = Callable[[str], Iterable[tuple[int, int]]]

# Each starts only where its run starts (the lookbehind), which keeps the search linear in the text.
_LOCAL = r"\w.!#$%&'*+/=?^`{|}~-"
_DOMAIN = r"(?:\w(?:[\w-]*\w)?\.)+\w(?:[\w-]*\w)?"
_EMAIL = re.compile(rf"""(?:(?<![{_LOCAL}])[{_LOCAL}]+|"[^"\n]{{1,64}}")@{_DOMAIN}""")

_SSN_GAP = r"(?:\s?[-./]\s?|\s)"
_SSN = re.compile(rf"\d{{3}}-\d{{2}}-\d{{4}}|(?<!\d)\d{{3}}{_SSN_GAP}\d{{2}}{_SSN_GAP}\d{{4}}(?!\d)")
_SSN_NAMED = re.compile(r"(?:\bssn|social\ssecurity)(?:\s(?:number|no))?\W{0,4}(?:is\W{1,2})?(\d{9})(?!\d)")

_PHONE = re.compile(
    r"(?<![\w+])(?:"
    r"(?:\+|00)[1-9]\d{0,2}[\s.-]?(?:\(\d{1,4}\)[\s.-]?)?\d(?:[\s.\-/]{0,2}\d){5,11}"  # +44 (0)20 7946 0958
    r"|(?:1[\s.-]?)?(?:\(\d{3}\)\s?|\d{3}[\s.-])\d{3}[\s.-]\d{4}"  # (212) 555-0142
    r"|\(0\d{1,4}\)[\s/-]?\d(?:[\s-]?\d){4,8}"  # (030) 901820
    r"|0\d{1,4}[\s/-]\d{3,4}[\s-]?\d{3,4}"  # 020 7946 0958
    r")(?!\d)(?:\s?(?:x|ext\.?)\s?\d{1,6})?"
)


def _find_emails(text: str) -> Iterator[tuple[int, int]]:
    return (match.span() for match in _EMAIL.finditer(text)) if "@" in text else iter(())


def _find_ssns(text: str) -> Iterator[tuple[int, int]]:
    return chain(
        (match.span() for match in _SSN.finditer(text)),
        (match.span(1) for match in _SSN_NAMED.finditer(text)),
    )


def _find_phones(text: str) -> Iterator[tuple[int, int]]:
    return (match.span() for match in _PHONE.finditer(text))


_FINDERS: dict[str, Finder] = {
    "EMAIL_ADDRESS": _find_emails,
    "CREDIT_CARD": find_cards,
    "US_SSN": _find_ssns,
    "IBAN_CODE": find_ibans,
    "PHONE_NUMBER": _find_phones,
    "IP_ADDRESS": find_ip_addresses,
    "NATIONAL_ID": find_national_ids,
}
_RAW_FINDERS: dict[str, Finder] = {"STREET_ADDRESS": find_addresses}
"""Those that go by capitals, which folding takes away."""


class PatternRedactor:
    """Finds those types of a policy that have a form (`PATTERN_TYPES`); `PresidioRedactor` finds all."""

    def __init__(self, entity_types: Iterable[str] = PATTERN_TYPES) -> None:
        wanted = frozenset(entity_types)
        check_entity_types(wanted)
        self._finders = tuple((kind, _FINDERS[kind]) for kind in PATTERN_TYPES if kind in wanted and kind in _FINDERS)
        self._raw_finders = tuple((kind, find) for kind, find in _RAW_FINDERS.items() if kind in wanted)

    def find(self, text: str) -> list[Span]:
        """Disjoint (start, end, TYPE) in order. Linear in the text for all but rows of short numbers."""
        folded = fold(text)
        found = (
            (*folded.original_span(start, end), kind)
            for kind, find in self._finders
            for start, end in find(folded.text)
        )
        as_written = ((start, end, kind) for kind, find in self._raw_finders for start, end in find(text))
        return resolve_overlaps([*found, *as_written])
