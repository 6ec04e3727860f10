from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from frag.privacy.redaction import redact, resolve_overlaps

spans = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 9), st.sampled_from(["PERSON", "US_SSN", "IP_ADDRESS"])).map(
        lambda span: (span[0], span[0] + span[1], span[2])
    ),
    max_size=8,
)


def test_placeholders_are_typed_and_consistent() -> None:
    text = "Ann met Bob, then ANN rang 123-45-6789."
    found = [(0, 3, "PERSON"), (8, 11, "PERSON"), (18, 21, "PERSON"), (27, 38, "US_SSN")]
    redacted, counts = redact(text, found)
    assert redacted == "<PERSON_1> met <PERSON_2>, then <PERSON_1> rang <US_SSN_1>."
    assert counts == {"PERSON": 3, "US_SSN": 1}


def test_spacing_and_dashes_do_not_make_a_new_value() -> None:
    text = "4111-1111-1111-1111 is 4111 1111 1111 1111"
    assert redact(text, [(0, 19, "CREDIT_CARD"), (23, 42, "CREDIT_CARD")])[0] == "<CREDIT_CARD_1> is <CREDIT_CARD_1>"


def test_new_numbers_come_after_those_in_the_text() -> None:
    assert redact("<PERSON_3> met Ann", [(15, 18, "PERSON")])[0] == "<PERSON_3> met <PERSON_4>"


def test_overlaps_join_under_the_longest() -> None:
    assert resolve_overlaps([(5, 9, "US_SSN"), (0, 6, "PERSON")]) == [(0, 9, "PERSON")]
    assert resolve_overlaps([(0, 4, "PERSON"), (0, 4, "IP_ADDRESS")]) == [(0, 4, "IP_ADDRESS")]
    assert resolve_overlaps([(4, 6, "PERSON"), (0, 4, "PERSON")]) == [(0, 4, "PERSON"), (4, 6, "PERSON")]


@given(spans, st.randoms())
def test_resolving_covers_the_same_characters_in_any_order(found, random) -> None:
    resolved = resolve_overlaps(found)
    random.shuffle(found)
    assert resolve_overlaps(found) == resolved
    assert all(one[1] <= other[0] for one, other in pairwise(resolved))
    covered = {place for start, end, _ in resolved for place in range(start, end)}
    assert covered == {place for start, end, _ in found for place in range(start, end)}


@given(st.text(min_size=40, max_size=60), spans)
def test_the_rest_of_the_text_stays(text: str, found) -> None:
    redacted, counts = redact(text, found)
    assert counts == redact(text, list(reversed(found)))[1]
    first = min((start for start, *_ in found), default=len(text))
    assert redacted.startswith(text[:first])
