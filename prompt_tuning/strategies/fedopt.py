"""What FedAdagrad, FedYogi and FedAdam share.

Source: Reddi et al. 2021, "Adaptive Federated Optimization", Algorithm 2.

m ← β₁ m + (1 − β₁) Δ̄;  v by the variant;  w ← w + η m / (√v + τ). No bias correction; v starts at τ², as in the paper.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from frag.updates import Weights
from prompt_tuning.strategies.strategy import ServerState, zeros

Array = npt.NDArray[np.float32]
SecondMoment = Callable[[Array, Array], Array]
"""(v, Δ̄²) to the new v."""


def start(weights: Weights, tau: float) -> ServerState:
    """m = 0, v = τ²."""
    second = {name: np.full_like(value, tau**2) for name, value in weights.items()}
    return ServerState(weights=weights, slots={"first": zeros(weights), "second": second})


def step(
    state: ServerState, mean_delta: Weights, *, learning_rate: float, beta_1: float, tau: float, second: SecondMoment
) -> ServerState:
    """One server step with the variant's rule for v."""
    first_moment, second_moment, weights = {}, {}, {}
    for name, delta in mean_delta.items():
        m = np.float32(beta_1) * state.slots["first"][name] + np.float32(1 - beta_1) * delta
        v = second(state.slots["second"][name], np.square(delta))
        change = np.float32(learning_rate) * m / (np.sqrt(v) + np.float32(tau))
        weights[name] = (state.weights[name] + change).astype(np.float32)
        first_moment[name], second_moment[name] = m, v
    slots = {"first": first_moment, "second": second_moment}
    return ServerState(weights=weights, round_num=state.round_num + 1, slots=slots)
