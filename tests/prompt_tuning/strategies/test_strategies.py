"""Every strategy keeps the contract and gives the numbers that its paper's formula gives by hand."""

import numpy as np
import pytest

from frag.summation import FixedPointSum
from prompt_tuning.strategies import STRATEGIES, FedAvgSettings, make_strategy
from prompt_tuning.strategies.fedadagrad import FedAdagrad
from prompt_tuning.strategies.fedadam import FedAdam
from prompt_tuning.strategies.fedavg import FedAvg
from prompt_tuning.strategies.fedavgm import FedAvgM
from prompt_tuning.strategies.fedprox import FedProx
from prompt_tuning.strategies.fedyogi import FedYogi
from tests.contracts.strategy_contract import StrategyContract


class TestFedAvg(StrategyContract):
    strategy = FedAvg()


class TestFedProx(StrategyContract):
    strategy = FedProx()


class TestFedAvgM(StrategyContract):
    strategy = FedAvgM()


class TestFedAdam(StrategyContract):
    strategy = FedAdam()


class TestFedYogi(StrategyContract):
    strategy = FedYogi()


class TestFedAdagrad(StrategyContract):
    strategy = FedAdagrad()


def two_rounds(strategy) -> list[float]:
    """One weight that starts at 1, with mean updates (1·2 + 3·0)/4 = 0.5 and (1·(−1) + 3·0)/4 = −0.25 of two nodes."""
    state = strategy.init({"w": np.array([1.0], np.float32)})
    seen = []
    for value in (2.0, -1.0):
        total = FixedPointSum(state.weights)
        total.add({"w": np.array([value], np.float32)}, 1)
        total.add({"w": np.array([0.0], np.float32)}, 3)
        state = strategy.apply(state, total.mean())
        seen.append(float(state.weights["w"][0]))
    return seen


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (FedAvg(), [1.5, 1.25]),
        (FedAvg(learning_rate=0.5), [1.25, 1.125]),
        (FedProx(proximal_mu=1.0), [1.5, 1.25]),
        # v = 0.5, then 0.9·0.5 − 0.25 = 0.2
        (FedAvgM(momentum=0.9), [1.5, 1.7]),
        # m = 0.05, v = 0.99·0.01 + 0.01·0.25 = 0.0124; then m = 0.02, v = 0.0124·0.99 + 0.01·0.0625 = 0.012901
        (
            FedAdam(learning_rate=0.1, tau=0.1),
            [1 + 0.005 / (0.0124**0.5 + 0.1), 1 + 0.005 / (0.0124**0.5 + 0.1) + 0.002 / (0.012901**0.5 + 0.1)],
        ),
        # v = 0.01 + 0.01·0.25 = 0.0125 (below Δ²); then 0.0125 + 0.01·0.0625 = 0.013125
        (
            FedYogi(learning_rate=0.1, tau=0.1),
            [1 + 0.005 / (0.0125**0.5 + 0.1), 1 + 0.005 / (0.0125**0.5 + 0.1) + 0.002 / (0.013125**0.5 + 0.1)],
        ),
        # v = 0.01 + 0.25 = 0.26; then 0.3225; β₁ = 0
        (
            FedAdagrad(learning_rate=0.1, tau=0.1),
            [1 + 0.05 / (0.26**0.5 + 0.1), 1 + 0.05 / (0.26**0.5 + 0.1) - 0.025 / (0.3225**0.5 + 0.1)],
        ),
    ],
)
def test_hand_computed(strategy, expected: list[float]) -> None:
    assert two_rounds(strategy) == pytest.approx(expected, abs=1e-6)


def test_settings_name_every_strategy() -> None:
    assert make_strategy(FedAvgSettings(learning_rate=0.5)) == FedAvg(learning_rate=0.5)
    assert set(STRATEGIES) == {"fedavg", "fedprox", "fedavgm", "fedadam", "fedyogi", "fedadagrad"}
