"""FedAdagrad: v ← v + Δ̄². Source: Reddi et al. 2021, "Adaptive Federated Optimization", Algorithm 2."""

from dataclasses import dataclass

from prompt_tuning.strategies.fedopt import Array, FedOpt


@dataclass(frozen=True, slots=True, kw_only=True)
class FedAdagrad(FedOpt):
    """v only grows, so that steps become smaller."""

    beta_1: float = 0.0

    def second(self, v: Array, square: Array) -> Array:
        return v + square
