"""Updates as vectors of a ring, for sums that nobody may look into; nodes, coordinator and simulation agree on them."""

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from frag.protocols import FloatArray
from frag.secagg.ring import Ring, RingArray
from frag.updates import Weights


class SecureSettings(BaseModel):
    """`mode = "secagg"`: the coordinator learns the sum of the updates and no single one.

    Masked updates can be checked for their length only, so one dishonest node can spoil a round unseen.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["secagg"] = "secagg"
    entry_bound: Annotated[
        float, Field(gt=0, le=64, description="entries of an update are clipped to it; the finer, the better it sums")
    ] = 0.5
    max_examples: Annotated[int, Field(ge=1, le=1_000_000, description="n_k counts up to this")] = 1000
    stage_deadline_s: Annotated[float, Field(gt=0, le=3600, description="after which a node has dropped out")] = 30.0


def ring_of(like: Weights, settings: SecureSettings, num_nodes: int) -> Ring:
    """The ring in which updates of these shapes are summed over at most `num_nodes` nodes."""
    return Ring(length=sum(value.size for value in like.values()), bound=settings.entry_bound, num_nodes=num_nodes)


def encode_update(delta: Weights, num_examples: int, settings: SecureSettings, num_nodes: int) -> RingArray:
    """w_k Δ_k and w_k, with w_k = min(n_k, cap) / cap. Raises UpdateError when it cannot be summed."""
    flat: FloatArray = np.concatenate([delta[name].ravel() for name in sorted(delta)])
    weight = min(num_examples, settings.max_examples) / settings.max_examples
    return ring_of(delta, settings, num_nodes).encode(flat, weight)


def decode_sum(total: RingArray, like: Weights, settings: SecureSettings, num_nodes: int) -> Weights:
    """Σ w_k Δ_k / Σ w_k in the shapes of `like`. Raises UpdateError when the sum has no weight."""
    flat = ring_of(like, settings, num_nodes).mean(total)
    weights, start = {}, 0
    for name in sorted(like):
        end = start + like[name].size
        weights[name] = flat[start:end].reshape(like[name].shape)
        start = end
    return weights
