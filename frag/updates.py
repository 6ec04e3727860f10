"""Named weights, a node's update of them, and what is checked before an update counts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from frag.errors import UpdateError

Weights = Mapping[str, npt.NDArray[np.float32]]
"""Trained tensors by name, float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Δ_k = w_k − w of one node in one round, with the number n_k of its training examples."""

    node_id: str
    round_num: int
    delta: Weights = field(repr=False)
    num_examples: int
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateLimits:
    """Bounds on the influence of one node. `max_norm` 0 means that norms are not bounded."""

    max_examples: int = 100_000
    max_norm: float = 0.0


def norm(weights: Weights) -> float:
    """L2 norm over all tensors together."""
    return math.sqrt(sum(float(np.square(value, dtype=np.float64).sum()) for value in weights.values()))


def check_update(update: Update, like: Weights, round_num: int, limits: UpdateLimits) -> tuple[Update, tuple[str, ...]]:
    """The update within the limits, and why it was bounded.

    A bounded norm is at most `max_norm` up to the rounding of float32.

    Raises:
        UpdateError: Names or shapes are not those of `like`, a number is not finite, the round is another, or there is
            no example behind it.
    """
    if update.round_num != round_num:
        raise UpdateError(f"{update.node_id} sent an update of round {update.round_num} in round {round_num}.")
    if update.num_examples < 1:
        raise UpdateError(f"{update.node_id} claims {update.num_examples} examples.")
    _check_tensors(update, like)
    reasons = []
    if update.num_examples > limits.max_examples:
        reasons.append(f"num_examples {update.num_examples} capped at {limits.max_examples}")
        update = replace(update, num_examples=limits.max_examples)
    size = norm(update.delta)
    if 0 < limits.max_norm < size:
        reasons.append(f"norm {size:.3g} scaled to {limits.max_norm:.3g}")
        update = replace(update, delta=_scaled(update.delta, limits.max_norm / size))
    return update, tuple(reasons)


def _scaled(weights: Weights, factor: float) -> Weights:
    # in float64: for a huge update the factor is subnormal in float32 and would miss the bound
    return {name: np.multiply(value, factor, dtype=np.float64).astype(np.float32) for name, value in weights.items()}


def _check_tensors(update: Update, like: Weights) -> None:
    if update.delta.keys() != like.keys():
        wrong = min(update.delta.keys() ^ like.keys())
        raise UpdateError(f"{update.node_id} sent other tensors than were asked for, such as {wrong[:80]}.")
    for name, value in update.delta.items():
        if value.shape != like[name].shape or value.dtype != np.float32:
            raise UpdateError(
                f"{update.node_id} sent {name} as {value.dtype} {list(value.shape)}, not {list(like[name].shape)}."
            )
        if not np.isfinite(value).all():
            raise UpdateError(f"{update.node_id} sent a number in {name} that is not finite.")


def difference(new: Weights, old: Weights) -> Weights:
    """new − old, tensor by tensor."""
    return {name: new[name] - old[name] for name in old}


def flattened(weights: Weights) -> npt.NDArray[np.float64]:
    """All entries as one float64 row, tensors in the order of their names."""
    return np.concatenate([np.asarray(weights[name], np.float64).ravel() for name in sorted(weights)])


def unflattened(row: npt.NDArray[np.float64], like: Weights) -> Weights:
    """What `flattened` made a row of, in float32 and the shapes of `like`."""
    found, start = {}, 0
    for name in sorted(like):
        end = start + like[name].size
        found[name] = row[start:end].reshape(like[name].shape).astype(np.float32)
        start = end
    return found
