import pytest

from frag.privacy.folding import fold
from frag.privacy.national_ids import find_national_ids


def found(text: str) -> list[str]:
    folded = fold(text).text
    return [folded[start:end] for start, end in find_national_ids(folded)]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("My PESEL is 44051401458.", "44051401458"),
        ("BSN: 111222333", "111222333"),
        ("NHS number 943 476 5919", "943 476 5919"),
        ("personnummer 880320-0016", "880320-0016"),
        ("It says RCCMNL83S18D969H there", "rccmnl83s18d969h"),
        ("with 12345678Z on it", "12345678z"),
    ],
)
def test_a_number_with_the_right_check_is_found(text: str, number: str) -> None:
    assert found(text) == [number]


@pytest.mark.parametrize(
    "text",
    [
        "My PESEL is 44051401459.",  # wrong check digit
        "In that year 44051401458 cells were counted.",  # nothing announces it
        "12345678A",  # wrong letter
        "ISBN 978-3-16-148410-0",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    assert found(text) == []
