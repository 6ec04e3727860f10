"""Robust rules by hand, against four attacks, and what they refuse."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from frag.errors import UpdateError
from frag.protocols import FloatArray
from frag.updates import Update
from prompt_tuning.robust import RULES, RobustSettings, aggregate, krum, median, multi_krum, trimmed_mean

ROWS = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [4.0, 40.0], [100.0, -100.0]], np.float32)


def test_median_and_trimmed_mean_by_hand() -> None:
    np.testing.assert_array_equal(median(ROWS, 1).value, [3.0, 20.0])
    # without 1 and 100, and without -100 and 40
    np.testing.assert_allclose(trimmed_mean(ROWS, 1).value, [3.0, 20.0])


def test_krum_by_hand() -> None:
    rows = np.array([[0.0], [1.0], [1.5], [10.0], [-50.0]], np.float32)
    # n - f - 2 = 2 nearest, squared: 0: 1 + 2.25; 1: 0.25 + 1; 1.5: 0.25 + 2.25; …
    assert krum(rows, 1).chosen == (1,)
    np.testing.assert_array_equal(krum(rows, 1).value, [1.0])
    assert multi_krum(rows, 1).chosen == (0, 1, 2, 3)


Attack = Callable[[FloatArray, np.random.Generator], FloatArray]
ATTACKS: Mapping[str, Attack] = {
    "sign flip": lambda honest, _: -3 * honest.mean(axis=0),
    "times a hundred": lambda honest, _: 100 * honest.mean(axis=0),
    "inner product": lambda honest, _: -honest.mean(axis=0) * 0.5,
    "noise": lambda honest, random: random.normal(0, 10, honest.shape[1]),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("rule", RULES)
def test_three_of_ten_liars_do_not_turn_the_update(rule: str, attack: str) -> None:
    random = np.random.default_rng(0)
    truth = random.normal(0, 1, 50)
    honest = (truth + random.normal(0, 0.3, (7, 50))).astype(np.float32)
    evil = np.stack([ATTACKS[attack](honest, random) for _ in range(3)]).astype(np.float32)
    found = RULES[rule](np.concatenate([honest, evil]), 3).value
    cosine = found @ truth / np.linalg.norm(found) / np.linalg.norm(truth)
    assert cosine > 0.9


def update(node: str, *values: float) -> Update:
    return Update(node_id=node, round_num=0, num_examples=5,
                  delta={"b": np.array(values[:1], np.float32), "a": np.array([values[1:]], np.float32)})  # fmt: skip


def test_tensors_come_back_in_their_shapes_and_the_left_out_are_named() -> None:
    updates = [update(f"n{k}", float(k), 1.0, 2.0) for k in range(4)] + [update("liar", 1e6, 1e6, 1e6)]
    weights, left_out = aggregate(updates, RobustSettings(rule="multi_krum", tolerated=1))
    assert left_out == ("liar",)
    np.testing.assert_allclose(weights["b"], [1.5])
    np.testing.assert_allclose(weights["a"], [[1.0, 2.0]])


@pytest.mark.parametrize(("rule", "least"), [("krum", 5), ("multi_krum", 5), ("trimmed_mean", 3), ("median", 3)])
def test_too_few_updates_for_the_rule_are_refused(rule: str, least: int) -> None:
    settings = RobustSettings.model_validate({"rule": rule, "tolerated": 1})
    assert settings.least_nodes() == least
    with pytest.raises(UpdateError, match=f"needs {least}"):
        aggregate([update(f"n{k}", 1.0, 1.0, 1.0) for k in range(least - 1)], settings)


@pytest.mark.parametrize(
    ("refused", "left", "tolerated"), [(0, 10, 3), (1, 9, 3), (2, 8, 2), (3, 7, 2), (3, 5, 1), (1, 5, 3), (9, 3, 0)]
)
def test_refused_nodes_count_among_those_to_be_withstood(refused: int, left: int, tolerated: int) -> None:
    """Krum needs 2 f + 3: f goes down as far as it must, and by no more than were refused."""
    settings = RobustSettings(rule="krum", tolerated=3)
    assert settings.without(refused, left).tolerated == tolerated


def test_the_order_of_arrival_changes_nothing() -> None:
    updates = [update(f"n{k}", float(k * k), 1.0, float(k)) for k in range(5)]
    for rule in RULES:
        settings = RobustSettings.model_validate({"rule": rule})
        first, second = aggregate(updates, settings), aggregate(updates[::-1], settings)
        assert first[1] == second[1]
        np.testing.assert_array_equal(first[0]["a"], second[0]["a"])
