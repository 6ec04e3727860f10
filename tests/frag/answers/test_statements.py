import pytest
from hypothesis import given
from hypothesis import strategies as st

from frag.answers.statements import statements


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Five days", ["Five days"]),
        ("He came. She went!", ["He came.", "She went!"]),
        ("Dr. Smith gave 5.5 mg at 3 p.m. on Monday.", ["Dr. Smith gave 5.5 mg at 3 p.m. on Monday."]),
        ("J. Doe et al. wrote it. It was new.", ["J. Doe et al. wrote it.", "It was new."]),
        ("First one; second one", ["First one", "second one"]),
        ("- aspirin\n- ibuprofen\n3) rest", ["aspirin", "ibuprofen", "rest"]),
        ('"Stop." He did.', ['"Stop."', "He did."]),
        ("3. Rest for two days.", ["Rest for two days."]),
        ("  \n;; ... ", []),
    ],
)
def test_cut_by_hand(text: str, expected: list[str]) -> None:
    assert statements(text) == expected


@given(st.text())
def test_no_letter_is_lost_but_bullets(text: str) -> None:
    letters = [char for part in statements(text) for char in part if char.isalpha()]
    kept = iter(char for char in text if char.isalpha())
    assert all(char in kept for char in letters)
    assert all(part.strip() == part != "" for part in statements(text))
