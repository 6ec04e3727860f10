"""Profiles of noised topic counts, and what a question is about.

A profile is a claim of a peer. Its size is bounded here; `chooser` bounds what it attracts.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import msgspec
import numpy as np
import numpy.typing as npt

from frag.protocols import FloatArray
from frag.routing.anchors import NUM_ANCHORS

_Count = Annotated[int, msgspec.Meta(ge=-1_000_000_000, le=1_000_000_000)]
Shares = npt.NDArray[np.float64]

TEMPERATURE = 0.05
"""Of the softmax over a question's cosines with the anchors; chosen on XQuAD and MedQuAD without noise."""

MAX_OF_MEDIAN = 2.0
"""A profile counts for at most this multiple of the median size."""

_PRIOR_COUNT = 0.5
"""Added to each anchor's total, so that a topic which nobody has does not fall to whose noise is highest."""


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One publication: units by nearest anchor plus integer noise; may be negative. `anchors` names the list."""

    anchors: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}$")]
    counts: Annotated[tuple[_Count, ...], msgspec.Meta(min_length=NUM_ANCHORS, max_length=NUM_ANCHORS)]


def topic_counts(units: FloatArray, anchors: FloatArray) -> npt.NDArray[np.int64]:
    """One vote a unit for the anchor nearest to its mean vector: adding a unit changes one count by one.

    Args:
        units: [n, dimension], one row a unit; each row must depend on its own unit only.
        anchors: [64, dimension].

    Returns:
        [64] counts.
    """
    if not len(units):
        return np.zeros(len(anchors), dtype=np.int64)
    return np.bincount((units @ anchors.T).argmax(axis=1), minlength=len(anchors)).astype(np.int64)


def noised(counts: npt.NDArray[np.int64], draw: Callable[[], int]) -> tuple[int, ...]:
    """Adds one draw of integer noise to every count."""
    return tuple(int(count) + draw() for count in counts)


def rho_of_publication(noise_sd: float) -> float:
    """zCDP of one publication for each unit: 1 / (2σ²), since one unit moves the counts by 1 in L2."""
    return 1 / (2 * noise_sd**2)


def affinities(question: FloatArray, anchors: FloatArray, temperature: float = TEMPERATURE) -> Shares:
    """How much a question [dimension] is about each anchor: [64], summing to 1."""
    logits = (anchors @ question).astype(np.float64) / temperature
    weights = np.exp(logits - logits.max())
    shares: Shares = weights / weights.sum()
    return shares


def topic_shares(profiles: Mapping[str, Sequence[int] | None]) -> dict[str, Shares]:
    """The share of each topic that each node is taken to hold, [64] in [0, 1].

    Counts below 0 are 0; a profile larger than twice the median is scaled down to that. A node without a profile gets
    the mean of those that have one, or an equal share.
    """
    sizes = {node: np.maximum(np.asarray(counts, dtype=np.float64), 0) for node, counts in profiles.items() if counts}
    bounded = _bounded(sizes)
    total = sum(bounded.values(), np.full(NUM_ANCHORS, _PRIOR_COUNT))
    known = {node: counts / total for node, counts in bounded.items()}
    usual = sum(known.values(), np.zeros(NUM_ANCHORS)) / len(known) if known else np.full(NUM_ANCHORS, 1.0)
    return {node: known.get(node, usual) for node in profiles}


def _bounded(sizes: Mapping[str, Shares]) -> dict[str, Shares]:
    if not sizes:
        return {}
    limit = MAX_OF_MEDIAN * float(np.median([counts.sum() for counts in sizes.values()]))
    return {node: counts * min(1.0, limit / max(counts.sum(), 1e-12)) for node, counts in sizes.items()}
