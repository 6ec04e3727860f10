"""Changes are seen, and stationary traffic raises few alarms."""

import numpy as np
import pytest

from frag.drift import Answered, DriftMonitor, mmd_p_value
from frag.drift.falling import abstention_p_value, confidence_p_value
from frag.drift.monitor import strength
from frag.protocols import FloatArray

DIMENSION = 16


def unit(rows: FloatArray) -> FloatArray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def around(random: np.random.Generator, topics: list[int], number: int) -> FloatArray:
    """Questions about some of the topics, each topic along an axis of its own."""
    rows = random.normal(0, 0.4, (number, DIMENSION))
    rows[np.arange(number), random.choice(topics, number)] += 1
    return unit(rows)


def monitor() -> DriftMonitor:
    return DriftMonitor(window=40, reference_windows=3, permutations=399)


def feed(watch: DriftMonitor, vectors: FloatArray, scores: list[float | None]) -> list[bool]:
    readings = [watch.add(Answered(vector=v, score=s)) for v, s in zip(vectors, scores, strict=True)]
    return [reading.is_drift for reading in readings if reading is not None]


def test_stationary_traffic_raises_few_alarms_and_other_topics_raise_one_at_once() -> None:
    random = np.random.default_rng(1)
    watch, usual = monitor(), [0, 1, 2, 3]
    scores: list[float | None] = list(random.uniform(0.3, 0.9, 40 * 43))
    alarms = feed(watch, around(random, usual, 40 * 43), scores)
    assert len(alarms) == 40
    assert sum(alarms) <= 2
    assert feed(watch, around(random, [4, 5, 6, 7], 40), scores[:40]) == [True]
    assert feed(watch, around(random, [0, 1, 2, 7], 120), scores[:120]).count(True) >= 1


@pytest.mark.parametrize(
    ("later", "signal"),
    [([0.2 + 0.003 * n for n in range(40)], "confidence"), ([None] * 15 + [0.7] * 25, "abstention")],
)
def test_falling_confidence_and_rising_abstention_are_seen(later: list[float | None], signal: str) -> None:
    random = np.random.default_rng(2)
    watch = monitor()
    before: list[float | None] = [0.5 + 0.003 * n for n in range(120)]
    feed(watch, around(random, [0, 1], 120), before)
    readings = [watch.add(Answered(vector=v, score=s)) for v, s in zip(around(random, [0, 1], 40), later, strict=True)]
    assert readings[-1] is not None
    assert (readings[-1].is_drift, readings[-1].signal) == (True, signal)


def test_what_was_forgotten_is_usual_no_more() -> None:
    random = np.random.default_rng(3)
    watch = monitor()
    feed(watch, around(random, [0, 1], 120), [0.5] * 120)
    watch.forget()
    assert not watch.is_ready
    assert feed(watch, around(random, [8, 9], 160), [0.5] * 160) == [False]


def test_permutations_make_p_values_that_hold_their_level() -> None:
    random = np.random.default_rng(4)
    values = [
        mmd_p_value(random.normal(size=(30, 4)), random.normal(size=(15, 4)), seed=n, permutations=99)  # type: ignore[arg-type]
        for n in range(200)
    ]
    assert sum(value <= 0.1 for value in values) <= 34, "20 expected, standard deviation 4.2"
    assert min(values) >= 0.01
    assert mmd_p_value(np.zeros((1, 4), np.float32), np.ones((9, 4), np.float32), seed=0) == 1.0


def test_hand_computed_p_values() -> None:
    assert abstention_p_value([False] * 3, [True] * 3) == pytest.approx(1 / 20)  # one of C(6, 3) tables
    assert confidence_p_value([0.9, 0.8], [0.1, 0.2]) == pytest.approx(1 / 6)  # one of C(4, 2) orders
    assert (abstention_p_value([], [True]), confidence_p_value([], [0.1])) == (1.0, 1.0)
    assert (strength(1.0), strength(0.01), strength(0.0)) == (0.0, 0.5, 1.0)
