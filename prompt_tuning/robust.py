"""Aggregation that a few dishonest updates cannot carry off. Unweighted: a claimed number of examples is worth nothing.

Works on all updates of a round at once, as rows of one matrix [n, d]; `tolerated` is f, the number of dishonest nodes
that the rule is to withstand.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from frag.errors import UpdateError
from frag.protocols import FloatArray
from frag.updates import Update, Weights

Rule = Literal["median", "trimmed_mean", "krum", "multi_krum"]


class PlainSettings(BaseModel):
    """`mode = "plain"`: the mean of checked updates, weighted by n_k. The coordinator sees each update."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["plain"] = "plain"


class RobustSettings(BaseModel):
    """`mode = "robust"`: a rule, and how many dishonest nodes it is to withstand. The coordinator sees each update."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["robust"] = "robust"
    rule: Rule = "multi_krum"
    tolerated: Annotated[int, Field(ge=0, le=1000, description="f, dishonest nodes")] = 1

    def least_nodes(self) -> int:
        """Updates that a round needs for the rule to mean anything."""
        return {"krum": 2 * self.tolerated + 3, "multi_krum": 2 * self.tolerated + 3}.get(
            self.rule, 2 * self.tolerated + 1
        )

    def without(self, num_refused: int, num_left: int) -> "RobustSettings":
        """What is to be withstood when updates were refused: their nodes count among the f, else they could stop every
        round. f goes down only as far as it must for the updates that are left."""
        for fewer in range(min(num_refused, self.tolerated) + 1):
            settings = self.model_copy(update={"tolerated": self.tolerated - fewer})
            if settings.least_nodes() <= num_left:
                return settings
        return self


@dataclass(frozen=True, slots=True)
class Robust:
    """The aggregate, and which rows it rests on."""

    value: FloatArray
    chosen: tuple[int, ...]


def median(rows: FloatArray, tolerated: int) -> Robust:
    """Coordinate by coordinate. Source: Yin et al. 2018, "Byzantine-Robust Distributed Learning", Definition 1."""
    del tolerated
    return Robust(np.median(rows, axis=0).astype(np.float32), tuple(range(len(rows))))


def trimmed_mean(rows: FloatArray, tolerated: int) -> Robust:
    """The mean without the f largest and smallest of each coordinate. Source: Yin et al. 2018, Definition 2."""
    kept = np.sort(rows, axis=0)[tolerated : len(rows) - tolerated]
    return Robust(kept.mean(axis=0, dtype=np.float64).astype(np.float32), tuple(range(len(rows))))


def krum(rows: FloatArray, tolerated: int) -> Robust:
    """The one row that is nearest to its n - f - 2 nearest. Source: Blanchard et al. 2017, "Machine Learning with
    Adversaries: Byzantine Tolerant Gradient Descent", §4."""
    best = int(np.argmin(_krum_scores(rows, tolerated)))
    return Robust(rows[best].astype(np.float32), (best,))


def multi_krum(rows: FloatArray, tolerated: int) -> Robust:
    """The mean of the n - f rows of the best scores. Source: Blanchard et al. 2017, §4, "m-Krum"."""
    order = np.argsort(_krum_scores(rows, tolerated), kind="stable")
    chosen = sorted(int(index) for index in order[: len(rows) - tolerated])
    return Robust(rows[chosen].mean(axis=0, dtype=np.float64).astype(np.float32), tuple(chosen))


def _krum_scores(rows: FloatArray, tolerated: int) -> FloatArray:
    """Sum of squared distances to the n - f - 2 nearest others."""
    wide = rows.astype(np.float64)
    # differences, not the expansion of the square: an update of ×1e6 would drown the small distances in rounding
    squared = np.array([np.square(wide - row).sum(axis=1) for row in wide])
    np.fill_diagonal(squared, np.inf)
    nearest = np.sort(squared, axis=1)[:, : max(1, len(rows) - tolerated - 2)]
    scores: FloatArray = nearest.sum(axis=1)
    return scores


RULES: Mapping[str, Callable[[FloatArray, int], Robust]] = {
    "median": median,
    "trimmed_mean": trimmed_mean,
    "krum": krum,
    "multi_krum": multi_krum,
}


def aggregate(updates: Sequence[Update], settings: RobustSettings) -> tuple[Weights, tuple[str, ...]]:
    """The robust mean of a round, and the nodes that the rule left out.

    Raises:
        UpdateError: There are fewer updates than the rule needs.
    """
    if len(updates) < settings.least_nodes():
        raise UpdateError(
            f"{settings.rule} against {settings.tolerated} dishonest nodes needs {settings.least_nodes()} updates, "
            f"{len(updates)} came."
        )
    ordered = sorted(updates, key=lambda update: update.node_id)
    like = ordered[0].delta
    names = sorted(like)
    rows = np.stack([np.concatenate([update.delta[name].ravel() for name in names]) for update in ordered])
    found = RULES[settings.rule](rows, settings.tolerated)
    left_out = tuple(update.node_id for place, update in enumerate(ordered) if place not in found.chosen)
    return _unflattened(found.value, like, names), left_out


def _unflattened(flat: FloatArray, like: Weights, names: Sequence[str]) -> Weights:
    weights, start = {}, 0
    for name in names:
        end = start + like[name].size
        weights[name] = flat[start:end].reshape(like[name].shape)
        start = end
    return weights
