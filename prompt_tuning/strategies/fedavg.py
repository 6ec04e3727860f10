"""w ← w + η Δ̄. Source: McMahan et al. 2017, "Communication-Efficient Learning of Deep Networks"."""

from dataclasses import dataclass

from frag.updates import Weights
from prompt_tuning.strategies.strategy import ServerState, scaled_sum


@dataclass(frozen=True, slots=True, kw_only=True)
class FedAvg:
    """`learning_rate` is η of the server; 1 takes the mean as it is."""

    learning_rate: float = 1.0
    proximal_mu: float = 0.0

    def init(self, weights: Weights) -> ServerState:
        return ServerState(weights=weights)

    def apply(self, state: ServerState, mean_delta: Weights) -> ServerState:
        weights = scaled_sum(state.weights, self.learning_rate, mean_delta)
        return ServerState(weights=weights, round_num=state.round_num + 1)
