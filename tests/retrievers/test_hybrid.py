import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrievers.hybrid import drop_repeats, normalise_text, reciprocal_rank_fusion

RANKINGS = st.lists(st.lists(st.integers(0, 30), unique=True, max_size=12), max_size=4)


def test_scores_are_those_of_the_paper():
    fused = reciprocal_rank_fusion([[7, 8], [8, 9]])
    assert fused == [(8, pytest.approx(1 / 62 + 1 / 61)), (7, pytest.approx(1 / 61)), (9, pytest.approx(1 / 62))]


def test_ties_go_to_the_lower_id():
    assert [item for item, _ in reciprocal_rank_fusion([[5, 1], [1, 5]])] == [1, 5]


@given(RANKINGS, st.randoms())
def test_the_order_of_rankings_does_not_matter(rankings, random):
    shuffled = random.sample(rankings, len(rankings))
    assert reciprocal_rank_fusion(shuffled) == reciprocal_rank_fusion(rankings)


@given(RANKINGS)
def test_every_id_comes_once_best_first(rankings):
    fused = reciprocal_rank_fusion(rankings)
    assert sorted(item for item, _ in fused) == sorted(set().union(*rankings))
    assert [score for _, score in fused] == sorted((score for _, score in fused), reverse=True)


@given(st.lists(st.integers(), unique=True, max_size=20))
def test_one_ranking_keeps_its_order(ranking):
    assert [item for item, _ in reciprocal_rank_fusion([ranking])] == ranking


@given(st.lists(st.integers(0, 5)))
def test_a_repeat_counts_once(ranking):
    assert reciprocal_rank_fusion([ranking]) == reciprocal_rank_fusion([list(dict.fromkeys(ranking))])


@pytest.mark.parametrize(
    ("text", "same"), [("A  b\n", "a B"), ("ﬁne", "FINE"), ("Straße", "STRASSE"), ("e\u0301", "É")]
)
def test_normalised_texts_are_the_same(text, same):
    assert normalise_text(text) == normalise_text(same)


@given(st.text())
def test_normalising_whitespace_twice_changes_nothing(text):
    assert normalise_text(f" {text}\n") == normalise_text(text)


def test_drop_repeats_keeps_the_first():
    assert drop_repeats(["b", "A", "a", "B"], key=str.lower) == ["b", "A"]
