"""What a strategy is: state between rounds, and how the mean update of a round changes it. numpy alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from frag.errors import UpdateError
from frag.updates import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """All that a strategy keeps: the weights after `round_num` rounds, and moments by name of slot and tensor.

    `clip_norm` is that of the next round where clipping adapts; 0 before the first and where it does not.
    """

    weights: Weights = field(repr=False)
    round_num: int = 0
    slots: Mapping[str, Weights] = field(default_factory=dict, repr=False)
    clip_norm: float = 0.0

    def to_bytes(self) -> bytes:
        """One safetensors file, bit exact."""
        from safetensors.numpy import save

        tensors = {f"weights/{name}": value for name, value in self.weights.items()}
        for slot, values in self.slots.items():
            tensors |= {f"slots/{slot}/{name}": value for name, value in values.items()}
        return save({n: np.asarray(v, order="C") for n, v in tensors.items()}, {"round": self._header()})

    def _header(self) -> str:
        return f"{self.round_num} {self.clip_norm!r}" if self.clip_norm else str(self.round_num)

    @classmethod
    def from_bytes(cls, content: bytes) -> "ServerState":
        """Raises UpdateError when `content` was not made by `to_bytes`."""
        tensors, text = read_state(content, "round")
        number, _, clip = text.partition(" ")
        if not (number.isdecimal() and len(number) < 10) or any(v.dtype != np.float32 for v in tensors.values()):
            raise corrupt()
        weights: dict[str, npt.NDArray[np.float32]] = {}
        slots: dict[str, dict[str, npt.NDArray[np.float32]]] = {}
        for key, value in tensors.items():
            kind, _, rest = key.partition("/")
            if kind == "weights":
                weights[rest] = value
            else:
                slot, _, name = rest.partition("/")
                slots.setdefault(slot, {})[name] = value
        shapes = shapes_of(weights)
        if any(shapes_of(values) != shapes for values in slots.values()):
            raise corrupt()
        return cls(weights=weights, round_num=int(number), slots=slots, clip_norm=_clip_norm(clip))


def _clip_norm(text: str) -> float:
    try:
        value = float(text or 0)
    except ValueError as error:
        raise corrupt() from error
    if not 0 <= value < np.inf:
        raise corrupt()
    return value


def read_state(content: bytes, key: str) -> tuple[dict[str, npt.NDArray[Any]], str]:
    """Tensors of a safetensors file, and one value of its metadata. Raises UpdateError when it is not such a file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return tensors, str(header["__metadata__"][key])
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise corrupt() from error


def corrupt() -> UpdateError:
    """What is raised for a saved state that cannot be read."""
    return UpdateError("A saved state of training is corrupt.", "Restore it, or start the job again.")


def shapes_of(values: Mapping[str, npt.NDArray[Any]]) -> dict[str, tuple[int, ...]]:
    """Names and shapes."""
    return {name: value.shape for name, value in values.items()}


class Strategy(Protocol):
    """Pure functions of the state; two equal calls give equal bits."""

    @property
    def proximal_mu(self) -> float:
        """μ of the proximal term that nodes add to their loss; 0 for none."""

    def init(self, weights: Weights) -> ServerState:
        """The state before the first round."""

    def apply(self, state: ServerState, mean_delta: Weights) -> ServerState:
        """The state after a round whose weighted mean update is `mean_delta`."""


def zeros(weights: Weights) -> Weights:
    """Zeros of the same shapes."""
    return {name: np.zeros_like(value) for name, value in weights.items()}


def scaled(factor: float, values: Weights) -> Weights:
    """factor · values in float32."""
    return {name: np.float32(factor) * value for name, value in values.items()}


def scaled_sum(left: Weights, factor: float, right: Weights) -> Weights:
    """left + factor · right in float32."""
    return {name: left[name] + np.float32(factor) * right[name] for name in left}
