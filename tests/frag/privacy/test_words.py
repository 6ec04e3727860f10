"""Words as keywords see them."""

import pytest

from frag.privacy.words import stem, whole_words, words


def test_words_are_folded_and_those_without_meaning_left_out() -> None:
    found = words("The PORTER’s keys don't fit: 5\u00a0mg, of ﬁbre_glass!")
    assert found == ["porter’s", "keys", "don't", "fit", "5", "mg", "fibre", "glass"]
    assert words("x" * 41) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [("key", "keys"), ("study", "studies"), ("box", "boxes"), ("glass", "glasses"), ("move", "moving"),
     ("run", "running"), ("porter", "porter's"), ("house", "houses"), ("bee", "bees"), ("class", "classes")],
)  # fmt: skip
def test_forms_of_one_word_share_a_stem(one: str, other: str) -> None:
    assert stem(one) == stem(other)


@pytest.mark.parametrize(("one", "other"), [("ring", "red"), ("glass", "glad"), ("1995", "1996"), ("bus", "but")])
def test_different_words_do_not(one: str, other: str) -> None:
    assert stem(one) != stem(other)


def test_a_vocabulary_gives_whole_words() -> None:
    assert whole_words(["[CLS]", "##ing", "the", "ox", "zebra", "apple", "x1y", "Apple"]) == ["apple", "zebra"]
