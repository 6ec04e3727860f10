"""The fixed-point sum with FedAvg goes where the slow twin goes, over several rounds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frag.summation import FixedPointSum
from prompt_tuning.strategies.fedavg import FedAvg
from tests.prompt_tuning.strategies.reference import fedavg


def test_the_twin_by_hand() -> None:
    assert fedavg([1.0, 0.0], [([3.0, 0.0], 1), ([1.0, 4.0], 3)], 1.0) == [1.5, 3.0]


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.lists(st.integers(1, 100_000), min_size=1, max_size=6), st.sampled_from([0.3, 1.0]))
def test_both_agree(seed: int, counts: list[int], learning_rate: float) -> None:
    random = np.random.default_rng(seed)
    strategy = FedAvg(learning_rate=learning_rate)
    state = strategy.init({"w": random.standard_normal(12).astype(np.float32)})
    slow = state.weights["w"].tolist()
    for _ in range(4):
        steps = [random.standard_normal(12).astype(np.float32) for _ in counts]
        trained = [[w + float(d) for w, d in zip(slow, step, strict=True)] for step in steps]
        slow = fedavg(slow, list(zip(trained, counts, strict=True)), learning_rate)
        total = FixedPointSum(state.weights)
        for step, count in zip(steps, counts, strict=True):
            total.add({"w": step}, count)
        state = strategy.apply(state, total.mean())
    assert state.weights["w"].tolist() == pytest.approx(slow, abs=2e-6)
