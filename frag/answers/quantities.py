"""Numbers with their units, and dates, out of folded text, so that "5 mg", "five milligrams" and "5.0mg" are one."""

import re
from collections.abc import Sequence

MONTHS = {
    name: number
    for number, names in enumerate(
        (
            ("january", "jan"), ("february", "feb"), ("march", "mar"), ("april", "apr"), ("may",), ("june", "jun"),
            ("july", "jul"), ("august", "aug"), ("september", "sep", "sept"), ("october", "oct"),
            ("november", "nov"), ("december", "dec"),
        ),
        1,
    )
    for name in names
}  # fmt: skip
_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_DATES = (
    re.compile(r"\b(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})\b"),
    re.compile(rf"\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<name>{_MONTH})\.?,?\s+(?P<year>\d{{4}})\b"),
    re.compile(rf"\b(?P<name>{_MONTH})\.?\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>\d{{4}})\b"),
    re.compile(rf"\b(?P<name>{_MONTH})\.?,?\s+(?P<year>\d{{4}})\b"),
    re.compile(rf"\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<name>{_MONTH})\b(?!\s+\d)"),
    re.compile(rf"\b(?P<name>{_MONTH})\.?\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b"),
)
_UNITS = {
    alias: names[0]
    for names in (
        ("%", "percent", "pct"), ("mg", "milligram", "milligrams"), ("g", "gram", "grams", "gramme", "grammes"),
        ("kg", "kilogram", "kilograms", "kilo", "kilos"), ("ug", "mcg", "microgram", "micrograms"),
        ("ml", "millilitre", "millilitres", "milliliter", "milliliters"),
        ("l", "litre", "litres", "liter", "liters"), ("mm", "millimetre", "millimetres", "millimeter", "millimeters"),
        ("cm", "centimetre", "centimetres", "centimeter", "centimeters"),
        ("m", "metre", "metres", "meter", "meters"), ("km", "kilometre", "kilometres", "kilometer", "kilometers"),
        ("second", "seconds", "sec", "secs"), ("minute", "minutes", "min", "mins"), ("hour", "hours", "hr", "hrs", "h"),
        ("day", "days"), ("week", "weeks"), ("month", "months"), ("year", "years"), ("dollar", "dollars", "$", "usd"),
        ("euro", "euros", "€", "eur"), ("pound", "pounds", "£", "gbp"), ("degree", "degrees", "°"),
    )
    for alias in names
}  # fmt: skip
_ONES = """
    zero one two three four five six seven eight nine ten eleven twelve
    thirteen fourteen fifteen sixteen seventeen eighteen nineteen
    """.split()  # noqa: SIM905 (a list of words reads better as words)
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = {word: number for number, word in enumerate(_ONES)} | {
    word: number for number, word in zip(range(20, 100, 10), _TENS, strict=True)
}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
NUMBER_WORDS = _WORDS.keys() | _SCALES.keys()
TOKEN = re.compile(r"[$€£]?\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|[%°$€£µ]")


def take_dates(plain: str) -> tuple[set[tuple[int, int, int]], str]:
    """Dates as (year, month, day), 0 where one is not said, and the text without them.

    Args:
        plain: Folded, lower case. Dates of digits alone are understood as 2020-05-03 only; 03/05/2020 is three numbers.
    """
    found = set()
    for pattern in _DATES:
        found |= {_date(match) for match in pattern.finditer(plain)}
        plain = pattern.sub(" ", plain)
    return found, plain


def _date(match: re.Match[str]) -> tuple[int, int, int]:
    parts = match.groupdict()
    month = MONTHS[parts["name"]] if parts.get("name") else int(parts["month"])
    return int(parts.get("year") or 0), month, int(parts.get("day") or 0)


def quantities(tokens: Sequence[str]) -> list[tuple[float, str]]:
    """Values with the unit that stands behind them, or a currency before them."""
    found: list[tuple[float, str]] = []
    place = 0
    while place < len(tokens):
        value, used = _number_at(tokens, place)
        if used == 0:
            place += 1
            continue
        sign = tokens[place][0]
        unit = _UNITS.get(sign, "") if sign in "$€£" else ""
        place += used
        if place < len(tokens) and tokens[place] in _UNITS:
            unit = unit or _UNITS[tokens[place]]
        found.append((value, unit))
    return found


def _number_at(tokens: Sequence[str], place: int) -> tuple[float, int]:
    """The number that begins at `place`, and how many tokens it has; 0 if none does."""
    first = tokens[place].lstrip("$€£")
    if first[:1].isdigit():
        value, used = _digits(first), 1
    elif first in _WORDS:
        value, used = float(_WORDS[first]), 1
        if value >= 20 and place + 1 < len(tokens) and 0 < _WORDS.get(tokens[place + 1], 0) < 10:
            value, used = value + _WORDS[tokens[place + 1]], 2
    else:
        return 0.0, 0
    while place + used < len(tokens) and tokens[place + used] in _SCALES:
        value *= _SCALES[tokens[place + used]]
        used += 1
    return value, used


def _digits(text: str) -> float:
    """Commas between groups of three divide thousands; a single other one is a decimal sign."""
    parts = re.split(r",", text)
    if len(parts) > 1 and all(len(part.split(".")[0]) == 3 for part in parts[1:]):
        text = "".join(parts)
    text = text.replace(",", ".")
    head, *tail = text.split(".")
    return float(f"{head}.{''.join(tail)}") if tail else float(head)
