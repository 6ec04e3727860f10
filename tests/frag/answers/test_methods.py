import numpy as np
import pytest

from frag.answers import METHODS, make_aggregator
from frag.errors import BadRequestError
from tests.contracts.aggregator import aggregate, node_answer


def test_best_takes_the_highest_score_and_the_first_node_of_equals() -> None:
    answers = [node_answer("b", "5 mg", 0.9), node_answer("a", "7 mg", 0.9), node_answer("c", "9 mg", 0.1)]
    merged = aggregate(make_aggregator("best"), *answers)
    assert (merged.text, merged.contributors) == ("7 mg", ("a",))


def test_vote_sums_scores_over_equal_answers() -> None:
    # "paris": 0.3 + 0.4 = 0.7 against "london": 0.6; the surface form is that of the better member
    answers = [node_answer("a", "paris", 0.3), node_answer("b", "London", 0.6), node_answer("c", "Paris.", 0.4)]
    merged = aggregate(make_aggregator("vote"), *answers)
    assert (merged.text, merged.contributors) == ("Paris.", ("a", "c"))


def test_one_claim_of_certainty_does_not_outvote_two_that_agree() -> None:
    # 1.0 counts as 0.4, the second highest: less than "paris" with 0.4 + 0.3
    answers = [node_answer("liar", "Rome", 1.0), node_answer("b", "Paris", 0.4), node_answer("c", "paris", 0.3)]
    assert aggregate(make_aggregator("vote"), *answers).text == "Paris"
    assert aggregate(make_aggregator("vote"), answers[0], answers[1]).text == "Rome", "of two the surer one"


def test_vote_does_not_merge_answers_that_normalise_to_nothing() -> None:
    answers = [node_answer("a", "the", 0.4), node_answer("b", "!!!", 0.4), node_answer("c", "A", 0.5)]
    assert aggregate(make_aggregator("vote"), *answers).contributors == ("c",)


def test_medoid_leaves_an_outlier_out_whatever_its_score() -> None:
    answers = [
        node_answer("a", "5 mg every morning", 0.5),
        node_answer("b", "5 mg every morning before breakfast", 0.4),
        node_answer("c", "a trip to Rome", 0.99),
    ]
    assert aggregate(make_aggregator("medoid"), *answers).contributors == ("a",)


def test_medoid_of_two_goes_by_score() -> None:
    answers = [node_answer("a", "5 mg", 0.4), node_answer("b", "7 ml", 0.5)]
    assert aggregate(make_aggregator("medoid"), *answers).text == "7 ml"


def test_medoid_counts_the_nodes_behind_an_answer() -> None:
    answers = [node_answer("a", "5 mg", 0.4), node_answer("b", "7 ml", 0.5), node_answer("c", "5 mg", 0.1)]
    assert aggregate(make_aggregator("medoid"), *answers).contributors == ("a", "c")


def test_medoid_takes_the_similarity_that_it_is_given() -> None:
    def only_last_is_central(texts):
        matrix = np.eye(len(texts), dtype=np.float32)
        matrix[:, -1] = matrix[-1, :] = 1.0
        return matrix

    answers = [node_answer("a", "x", 0.9), node_answer("b", "y", 0.5), node_answer("c", "z", 0.1)]
    assert aggregate(make_aggregator("medoid", similarity=only_last_is_central), *answers).text == "z"


def test_unknown_method_names_the_known_ones() -> None:
    with pytest.raises(BadRequestError) as caught:
        make_aggregator("averge")
    assert all(method in caught.value.mend for method in METHODS)


def test_synthesize_without_a_language_model_says_what_to_do() -> None:
    with pytest.raises(BadRequestError, match="no language model"):
        make_aggregator("synthesize")
