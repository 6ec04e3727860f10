"""The rules beside the model, with a lexicon and a vocabulary small enough to see through."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from frag.privacy.name_lexicon import NameLexicon, name_lexicon
from frag.privacy.names import NameFinder

FINDER = NameFinder(
    NameLexicon(given=frozenset({"anna", "jouni"}), family=frozenset({"smith", "berlin"})),
    frozenset(["The", "the", "house", "Berlin", "berlin", "smith", "dog", "called", "said", "was"]),
)


def found(text: str, *entities: tuple[str, str]) -> list[str]:
    places = [(text.index(word), text.index(word) + len(word), label) for word, label in entities]
    return [text[start:end] for start, end, _ in FINDER.find(text, places)]


def test_given_names_with_what_stands_around_them() -> None:
    assert found("The dog of Anna M. Kowalska was called Rex") == ["Anna M. Kowalska", "Rex"]
    assert found("said Anna van der Berg in the house") == ["Anna van der Berg"]


def test_a_given_name_that_the_model_takes_for_a_firm() -> None:
    assert found("the house of Jouni", ("Jouni", "ORG")) == ["Jouni"]


def test_a_place_stays_a_place() -> None:
    assert found("the house in Berlin", ("Berlin", "GPE")) == []
    assert found("the house in Zwiesel", ("Zwiesel", "GPE")) == []
    assert found("the house of Berlin") == ["Berlin"], "without the model's word it is a surname"


def test_a_usual_word_may_begin_a_sentence() -> None:
    assert found("Smith was in the house") == []
    assert found("The dog of Smith") == ["Smith"]


def test_who_was_named_once_is_meant_again() -> None:
    assert found("Anna Kowalska said the house was Kowalska's") == ["Anna Kowalska", "Kowalska's"]


def test_lower_case_texts() -> None:
    assert found("the dog of anna was in the house") == ["anna"]
    assert found("The dog of anna was in the house") == [], "the writer knows capitals"


def test_acronyms_and_titles_are_no_names() -> None:
    assert found("The WHO was in the house") == []


@given(st.text())
def test_any_text_gives_disjoint_spans_in_order(text: str) -> None:
    spans = list(FINDER.find(text, []))
    assert all(start < end for start, end, _ in spans)
    assert all(left[1] <= right[0] for left, right in pairwise(spans))


def test_the_lexicon_knows_names_of_many_countries() -> None:
    lexicon = name_lexicon()
    assert {"anna", "mohammed", "björn"} <= lexicon.given
    assert {"smith", "garcia"} <= lexicon.family
