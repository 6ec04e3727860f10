"""Asynchronous rounds: updates are buffered as they come, and K of them make a step.

Source: Nguyen et al. 2022, "Federated Learning with Buffered Asynchronous Aggregation", Algorithm 1, with its staleness
weight 1 / √(1 + τ); n_k as in FedAvg (the algorithm has n_k = 1).

A step of the buffer is a round of its job; the strategy within decides what the mean of a step does to the weights.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from frag.errors import SettingsError, UpdateError
from frag.summation import FixedPointSum
from frag.updates import Update, Weights
from prompt_tuning.strategies.fedavg import FedAvg
from prompt_tuning.strategies.strategy import ServerState, Strategy, corrupt, read_state, scaled, shapes_of

_SERVER = "server"


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferState:
    """The weights in force with the strategy's moments, and the part of a buffer that has come.

    `last_base` is, by node, the newest round on whose weights an update of it that counted was trained.
    """

    server: ServerState
    sums: Mapping[str, npt.NDArray[np.int64]] = field(repr=False)
    total_weight: int = 0
    num_buffered: int = 0
    last_base: Mapping[str, int] = field(default_factory=dict, repr=False)

    def to_bytes(self) -> bytes:
        """One safetensors file, bit exact."""
        from safetensors.numpy import save

        tensors: dict[str, npt.NDArray[np.generic]] = {f"sums/{name}": value for name, value in self.sums.items()}
        tensors[_SERVER] = np.frombuffer(self.server.to_bytes(), np.uint8)
        buffer = [self.total_weight, self.num_buffered, dict(sorted(self.last_base.items()))]
        return save(tensors, {"buffer": json.dumps(buffer)})

    @classmethod
    def from_bytes(cls, content: bytes) -> "BufferState":
        """Raises UpdateError when `content` was not made by `to_bytes`."""
        tensors, text = read_state(content, "buffer")
        try:
            total_weight, num_buffered, last_base = json.loads(text)
            server = ServerState.from_bytes(tensors.pop(_SERVER).tobytes())
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise corrupt() from error
        sums = {key.removeprefix("sums/"): value for key, value in tensors.items()}
        counts = [total_weight, num_buffered, *last_base.values()] if isinstance(last_base, dict) else [None]
        if not all(type(count) is int and count >= 0 for count in counts):
            raise corrupt()
        if shapes_of(sums) != shapes_of(server.weights) or any(value.dtype != np.int64 for value in sums.values()):
            raise corrupt()
        return cls(server=server, sums=sums, total_weight=total_weight, num_buffered=num_buffered, last_base=last_base)


@dataclass(frozen=True, slots=True, kw_only=True)
class FedBuff:
    """Hands Σ s(τ_k) n_k Δ_k / Σ n_k of every `buffer_size` updates to `strategy`.

    The staleness τ is the number of steps since the weights that the node trained on; s(τ) = 1 / √(1 + τ) shrinks the
    update and is not made good by the divisor, as in the paper. Older updates than `max_staleness` do not count.
    A node counts once for each state of the weights, so fewer nodes than `buffer_size` never fill the buffer.

    Raises:
        SettingsError: `buffer_size` < 1 or `max_staleness` < 0.
    """

    strategy: Strategy = field(default_factory=FedAvg)
    buffer_size: int = 10
    max_staleness: int = 20

    def __post_init__(self) -> None:
        if self.buffer_size < 1 or self.max_staleness < 0:
            raise SettingsError(f"buffer_size {self.buffer_size}, max_staleness {self.max_staleness}: out of range.")

    def init(self, weights: Weights) -> BufferState:
        """The state before the first update."""
        return self._emptied(self.strategy.init(weights), {})

    def resume(self, server: ServerState) -> BufferState:
        """An empty buffer on a committed state. Updates of older states do not fit it: they may have counted."""
        return self._emptied(server, {})

    def close(self, state: BufferState) -> BufferState:
        """The state after a step with what has come so far: for a buffer that nobody is left to fill.

        Raises:
            UpdateError: The buffer is empty.
        """
        total = FixedPointSum.resume(state.sums, total_weight=state.total_weight, num_added=state.num_buffered)
        return self._emptied(self.strategy.apply(state.server, total.mean()), state.last_base)

    def offer(self, state: BufferState, update: Update, base_round: int) -> BufferState:
        """The state with the update; the weights change when it fills the buffer, whatever the order within it.

        Args:
            state: Is left as it is.
            update: Has passed `check_update`.
            base_round: The round whose weights the node was given, by the coordinator's own record.

        Raises:
            UpdateError: The update is of another round, too old, counted already, or does not fit the sum.
        """
        staleness = self._staleness(state, update, base_round)
        total = FixedPointSum.resume(state.sums, total_weight=state.total_weight, num_added=state.num_buffered)
        total.add(scaled(1 / math.sqrt(1 + staleness), update.delta), update.num_examples)
        last_base = {**state.last_base, update.node_id: base_round}
        if total.num_added >= self.buffer_size:
            return self._emptied(self.strategy.apply(state.server, total.mean()), last_base)
        return replace(
            state,
            sums=total.sums,
            total_weight=total.total_weight,
            num_buffered=total.num_added,
            last_base=last_base,
        )

    def _staleness(self, state: BufferState, update: Update, base_round: int) -> int:
        now = state.server.round_num
        if update.round_num != base_round or base_round > now:
            raise UpdateError(f"{update.node_id} sent an update of round {update.round_num}, not {base_round}.")
        if now - base_round > self.max_staleness:
            raise UpdateError(f"{update.node_id} trained on round {base_round}, which is too old in round {now}.")
        # a reply that is sent again after the buffer was emptied would otherwise count twice
        if state.last_base.get(update.node_id, -1) >= base_round:
            raise UpdateError(f"An update of {update.node_id} from round {base_round} or later counts already.")
        return now - base_round

    def _emptied(self, server: ServerState, last_base: Mapping[str, int]) -> BufferState:
        # what is too old to count again needs no remembering
        oldest = server.round_num - self.max_staleness
        recent = {node: base for node, base in last_base.items() if base >= oldest}
        return BufferState(server=server, sums=FixedPointSum(server.weights).sums, last_base=recent)
