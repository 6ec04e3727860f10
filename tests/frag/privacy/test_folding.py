import pytest
from hypothesis import given
from hypothesis import strategies as st

from frag.privacy.folding import fold


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Aspirin", "aspirin"),
        ("As\u200bpi\u00adrin", "aspirin"),
        ("\uff21spirin\u3000\uff15", "aspirin 5"),
        ("s\u0336t\u0336ruck", "struck"),
        ("Müller-Straße", "muller-strasse"),
        ("Mu\u0308ller", "muller"),
        ("١٢٣", "123"),
        ("1\u20112\u22123", "1-2-3"),
        ("ﬁne", "fine"),
        ("a\x00b\nc", "ab\nc"),
        ("foo@bar。com", "foo@bar.com"),
    ],
)
def test_what_looks_alike_is_alike(text: str, folded: str) -> None:
    assert fold(text).text == folded


def test_spans_lead_back_to_the_original() -> None:
    text = "x Stra\u00adße y"
    folded = fold(text)
    start = folded.text.index("strasse")
    first, last = folded.original_span(start, start + len("strasse"))
    assert text[first:last] == "Stra\u00adße"


@given(st.text())
def test_origins_are_in_order_and_in_range(text: str) -> None:
    folded = fold(text)
    assert len(folded.text) == len(folded.starts) == len(folded.ends)
    assert list(folded.starts) == sorted(folded.starts)
    assert all(0 <= start < end <= len(text) for start, end in zip(folded.starts, folded.ends, strict=True))


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    once = fold(text).text
    assert fold(once).text == once
