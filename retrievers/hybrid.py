"""Fuses rankings of passages. Pure functions over ids and texts; knows nothing of indices.

Source: Cormack, Clarke, Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning
Methods", SIGIR 2009.
"""

import unicodedata
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

RRF_K = 60
"""The constant of the paper; damps the lead of first ranks."""

_Item = TypeVar("_Item")


def reciprocal_rank_fusion(rankings: Sequence[Sequence[int]], k: int = RRF_K) -> list[tuple[int, float]]:
    """Returns (id, score) of every ranked id, best first; equal scores by ascending id.

    The score of an id is the sum of `1 / (k + rank)` over the rankings that hold it, ranks from 1 (equation 1).
    The order of the rankings does not matter. An id that a ranking repeats counts at its best rank.
    """
    scores: dict[int, list[float]] = {}
    for ranking in rankings:
        for rank, item in enumerate(dict.fromkeys(ranking), start=1):
            scores.setdefault(item, []).append(1 / (k + rank))
    # summed in sorted order: floating-point addition would let the order of rankings decide near-ties
    fused = ((item, sum(sorted(parts))) for item, parts in scores.items())
    return sorted(fused, key=lambda pair: (-pair[1], pair[0]))


def normalise_text(text: str) -> str:
    """The form under which two passages are the same: Unicode-compatible, caseless, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def drop_repeats(items: Iterable[_Item], key: Callable[[_Item], Hashable]) -> list[_Item]:
    """Keeps the first item of every `key`, in order."""
    seen: dict[Hashable, _Item] = {}
    for item in items:
        seen.setdefault(key(item), item)
    return list(seen.values())
