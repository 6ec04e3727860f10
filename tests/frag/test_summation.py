"""The sum of updates is exact where it can be, does not depend on order, and refuses what it could not hold."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frag.errors import UpdateError
from frag.summation import MAX_ABSOLUTE, MAX_TOTAL_WEIGHT, FixedPointSum

LIKE = {"a": np.zeros((2, 2), np.float32), "b": np.zeros(3, np.float32)}


def delta(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {name: random.standard_normal(value.shape).astype(np.float32) for name, value in LIKE.items()}


def test_hand_computed_mean() -> None:
    total = FixedPointSum({"w": np.zeros(2, np.float32)})
    total.add({"w": np.array([1.0, -2.0], np.float32)}, 1)
    total.add({"w": np.array([5.0, 2.0], np.float32)}, 3)
    np.testing.assert_array_equal(total.mean()["w"], np.array([4.0, 1.0], np.float32))
    assert (total.num_added, total.total_weight) == (2, 4)


def slow_mean(deltas: list[dict[str, np.ndarray]], weights: list[int]) -> dict[str, list[float]]:
    """FedAvg's mean in plain Python, entry by entry."""
    means = {}
    for name in deltas[0]:
        columns = zip(*(d[name].reshape(-1).tolist() for d in deltas), strict=True)
        means[name] = [sum(w * x for w, x in zip(weights, xs, strict=True)) / sum(weights) for xs in columns]
    return means


@settings(max_examples=40)
@given(st.lists(st.integers(1, 1000), min_size=1, max_size=8), st.randoms())
def test_any_order_gives_the_same_bits_and_the_slow_twin_agrees(weights: list[int], random) -> None:
    rows = [(delta(seed), weight) for seed, weight in enumerate(weights)]
    one = FixedPointSum(LIKE)
    for row in rows:
        one.add(*row)
    slow = slow_mean([d for d, _ in rows], weights)
    random.shuffle(rows)
    other = FixedPointSum(LIKE)
    for row in rows:
        other.add(*row)
    for name, value in one.mean().items():
        np.testing.assert_array_equal(value, other.mean()[name])
        np.testing.assert_allclose(value.reshape(-1), slow[name], atol=2e-8, rtol=2e-7)


@pytest.mark.parametrize("value", [MAX_ABSOLUTE * 1.01, np.inf, np.nan])
def test_what_could_overflow_is_refused_and_adds_nothing(value: float) -> None:
    total = FixedPointSum(LIKE)
    total.add(delta(0), 2)
    before = total.mean()
    with pytest.raises(UpdateError):
        total.add({**delta(1), "b": np.array([0, value, 0], np.float32)}, 1)
    with pytest.raises(UpdateError):
        total.add(delta(1), MAX_TOTAL_WEIGHT)
    for name, mean in total.mean().items():
        np.testing.assert_array_equal(mean, before[name])


@pytest.mark.parametrize(
    "other",
    [
        {"a": np.ones((2, 2), np.float32)},
        {**delta(1), "c": np.ones(1, np.float32)},
        {**delta(1), "b": np.ones(1, np.float32)},
    ],
)
def test_other_names_or_shapes_add_nothing(other: dict[str, np.ndarray]) -> None:
    total = FixedPointSum(LIKE)
    with pytest.raises(UpdateError, match="names or shapes"):
        total.add(other, 1)
    assert (total.num_added, total.total_weight) == (0, 0)
    assert not any(value.any() for value in total.sums.values())


def test_a_resumed_sum_goes_on_and_leaves_the_first_alone() -> None:
    first = FixedPointSum(LIKE)
    first.add(delta(0), 3)
    kept = first.mean()
    second = FixedPointSum.resume(first.sums, total_weight=first.total_weight, num_added=first.num_added)
    second.add(delta(1), 2)
    for name, value in first.mean().items():
        np.testing.assert_array_equal(value, kept[name])
    first.add(delta(1), 2)
    for name, value in first.mean().items():
        np.testing.assert_array_equal(value, second.mean()[name])


def test_the_largest_sum_does_not_wrap() -> None:
    total = FixedPointSum({"w": np.zeros(1, np.float32)})
    total.add({"w": np.array([MAX_ABSOLUTE], np.float32)}, MAX_TOTAL_WEIGHT - 1)
    total.add({"w": np.array([MAX_ABSOLUTE], np.float32)}, 1)
    assert total.mean()["w"][0] == MAX_ABSOLUTE


def test_an_empty_sum_has_no_mean() -> None:
    with pytest.raises(UpdateError):
        FixedPointSum(LIKE).mean()


def test_a_thousand_updates_take_the_memory_of_a_few() -> None:
    like = {"prompt": np.zeros((20, 576), np.float32)}
    total = FixedPointSum(like)
    update = {"prompt": np.ones((20, 576), np.float32)}
    tracemalloc.start()
    for _ in range(1000):
        total.add(update, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * like["prompt"].nbytes
    np.testing.assert_array_equal(total.mean()["prompt"], update["prompt"])
