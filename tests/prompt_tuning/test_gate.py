"""What lets a candidate past."""

import math

import pytest

from prompt_tuning.gate import judge, pooled


def reply(old: float, new: float, number: float = 10.0) -> dict[str, float]:
    return {"held_out_f1_old": old, "held_out_n_old": number, "held_out_f1_new": new, "held_out_n_new": number}


def test_nodes_count_by_their_examples() -> None:
    found = pooled([reply(0.2, 0.4, 30.0), reply(0.6, 0.8, 10.0)], max_examples=50)
    assert found == pytest.approx({"f1_old": 0.3, "n_old": 40.0, "f1_new": 0.5, "n_new": 40.0})


def test_what_a_node_says_is_bounded() -> None:
    found = pooled([reply(99.0, math.nan, 1e9), reply(0.0, 0.0, 50.0)], max_examples=50)
    assert found == {"f1_old": 0.5, "n_old": 100.0, "f1_new": 0.0, "n_new": 100.0}


def test_a_side_that_nobody_has_is_left_out() -> None:
    assert pooled([{"held_out_f1_new": 0.5, "held_out_n_new": 4.0}, {}], 50) == {"f1_new": 0.5, "n_new": 4.0}


@pytest.mark.parametrize(
    ("old", "new", "decision", "said"),
    [
        (0.50, 0.60, "promoted", "old +0.000, new +0.100"),
        (0.48, 0.90, "promoted", "old -0.020"),
        (0.47, 0.90, "rolled_back", "worse on old data: F1 0.470 against 0.500"),
        (0.90, 0.47, "rolled_back", "worse on new data: F1 0.470 against 0.500"),
    ],
)
def test_it_must_not_be_worse_beyond_the_margin_on_either(old: float, new: float, decision: str, said: str) -> None:
    verdict = judge({"f1_old": 0.5, "f1_new": 0.5}, {"f1_old": old, "f1_new": new}, margin=0.0201)
    assert (verdict.decision, said in verdict.reason) == (decision, True)


def test_the_first_run_has_nothing_old_and_what_was_not_measured_stays_out() -> None:
    assert judge({"f1_new": 0.1}, {"f1_new": 0.3}, 0.0).decision == "promoted"
    assert judge({"f1_new": 0.1}, {}, 1.0).decision == "rolled_back"
