"""Phone numbers as people write them at home: no country code, any grouping.

The numbering plans of a few countries accept almost any row of digits, so what is plainly something else is sorted out.
"""

import re
from collections.abc import Iterator

REGIONS = ("US", "GB", "DE", "FR", "IL", "IN", "CA", "BR")
_DIGITS = range(7, 16)
_RANGE = re.compile(r"\D*(\d{3,4})\s?[-\u2013\u2014]\s?(\d{3,4})")
_LONGEST_YEAR_RANGE = 300
_ROUND_NUMBER = re.compile(r"\d{1,3}(?:\s\d{3})*\s000")


class PhoneFinder:
    """Finds national phone numbers by the numbering plans of `REGIONS` (phonenumbers, through Presidio)."""

    def __init__(self) -> None:
        from presidio_analyzer.predefined_recognizers import PhoneRecognizer

        self._recognizer = PhoneRecognizer(leniency=0, supported_regions=REGIONS)

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Spans, perhaps overlapping."""
        for result in self._recognizer.analyze(text, ["PHONE_NUMBER"]):
            if may_be_a_phone(text[result.start : result.end]):
                yield result.start, result.end


def may_be_a_phone(number: str) -> bool:
    """Whether a row of digits has a phone number's length and is neither a range of years nor a round number."""
    if sum(char.isdigit() for char in number) not in _DIGITS or _ROUND_NUMBER.fullmatch(number):
        return False
    years = _RANGE.fullmatch(number)
    return years is None or not 0 <= int(years[2]) - int(years[1]) <= _LONGEST_YEAR_RANGE
