"""How the updates of a round become the next weights, one strategy a file. Needs numpy alone."""

from collections.abc import Mapping
from typing import Any

from prompt_tuning.strategies.fedadagrad import FedAdagrad
from prompt_tuning.strategies.fedadam import FedAdam
from prompt_tuning.strategies.fedavg import FedAvg
from prompt_tuning.strategies.fedavgm import FedAvgM
from prompt_tuning.strategies.fedbuff import BufferState, FedBuff
from prompt_tuning.strategies.fedprox import FedProx
from prompt_tuning.strategies.fedyogi import FedYogi
from prompt_tuning.strategies.settings import FedAvgSettings, FedBuffSettings, StrategySettings
from prompt_tuning.strategies.strategy import ServerState, Strategy

STRATEGIES: Mapping[str, Any] = {
    "fedavg": FedAvg,
    "fedprox": FedProx,
    "fedavgm": FedAvgM,
    "fedadam": FedAdam,
    "fedyogi": FedYogi,
    "fedadagrad": FedAdagrad,
}

__all__ = [
    "STRATEGIES",
    "BufferState",
    "FedAvgSettings",
    "FedBuff",
    "FedBuffSettings",
    "ServerState",
    "Strategy",
    "StrategySettings",
    "make_buffer",
    "make_strategy",
]


def make_strategy(settings: StrategySettings) -> Strategy:
    """The strategy that `settings.kind` names; for a buffer, the one within it."""
    if isinstance(settings, FedBuffSettings):
        return FedAvg(learning_rate=settings.learning_rate)
    strategy: Strategy = STRATEGIES[settings.kind](**settings.model_dump(exclude={"kind"}))
    return strategy


def make_buffer(settings: FedBuffSettings) -> FedBuff:
    """The buffer with its strategy."""
    return FedBuff(
        strategy=make_strategy(settings), buffer_size=settings.buffer_size, max_staleness=settings.max_staleness
    )
