"""Randomness that can be repeated: seeds by name, and the nodes of a round."""

import hashlib
from collections.abc import Sequence


def derive_seed(seed: int, *parts: str | int) -> int:
    """A seed in [0, 2^63) for one purpose, by SHA-256; different parts give independent seeds."""
    text = "\0".join([str(seed), *map(str, parts)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1


def sample_nodes(available: Sequence[str], num: int, *, seed: int, round_num: int) -> list[str]:
    """`num` of the available nodes, sorted; all of them when `num` is 0 or there are no more.

    Each node draws a number of its own from (seed, round, node) and the lowest win, so the order of `available` does
    not matter, and one more node changes at most one place.
    """
    ranked = sorted(set(available), key=lambda node: (derive_seed(seed, "sample", round_num, node), node))
    return sorted(ranked[: num or None])
