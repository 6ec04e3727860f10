"""Which examples a step trains on: seeded permutations, and a share of old examples beside the new.

Source of replay: Robins 1995, "Catastrophic forgetting, rehearsal and pseudorehearsal"; Chaudhry et al. 2019, "On tiny
episodic memories in continual learning" (equal parts of memory and new data in a batch).
"""

import random
from collections.abc import Sequence
from typing import Generic, TypeVar

from frag.sampling import derive_seed

Item = TypeVar("Item")


class Permutations(Generic[Item]):
    """Seeded permutations of `items`, one after the other, cut into pieces. Raises ValueError when there are none."""

    def __init__(self, items: Sequence[Item], seed: int) -> None:
        if not items:
            raise ValueError("there are no examples to train on")
        self._random = random.Random(derive_seed(seed, "batches"))  # noqa: S311 - reproducible on purpose
        self._items = items
        self._order: list[int] = []

    def take(self, number: int) -> list[Item]:
        """The next `number` items; as many as there are when that is fewer."""
        size = min(number, len(self._items))
        if len(self._order) < size:
            more = list(range(len(self._items)))
            self._random.shuffle(more)
            self._order += more
        taken, self._order = self._order[:size], self._order[size:]
        return [self._items[index] for index in taken]


class Batches(Generic[Item]):
    """Batches of new examples with a share of old ones.

    Args:
        new: What has come since the last run.
        old: What was trained on before.
        share: Of old examples in a batch, in [0, 1); at least one new and, over 0, one old example is in each.
        size: Examples of a batch.
        seed: Decides the order.

    Without new examples the old ones alone are rehearsed. Raises ValueError when there are neither.
    """

    def __init__(self, new: Sequence[Item], old: Sequence[Item], share: float, size: int, seed: int) -> None:
        self._num_old = num_old(size, share) if old and new else 0
        self._num_new = size - self._num_old
        self._new = Permutations(new or old, seed)
        self._old = Permutations(old, derive_seed(seed, "replay")) if self._num_old else None

    def next(self) -> list[Item]:
        """The examples of one step."""
        batch = self._new.take(self._num_new)
        return batch + self._old.take(self._num_old) if self._old is not None else batch


def num_old(size: int, share: float) -> int:
    """Old examples in a batch of `size`."""
    return 0 if share <= 0 or size < 2 else min(size - 1, max(1, round(size * share)))


def reservoir(ids: Sequence[str], size: int, seed: int) -> set[str]:
    """The `size` ids with the lowest seeded draws: each is as likely as any other, and one more id moves at most one.

    Args:
        ids: All that might be replayed.
        size: Of the buffer; 0 keeps all.
        seed: Of the draws.
    """
    ranked = sorted(ids, key=lambda name: (derive_seed(seed, "reservoir", name), name))
    return set(ranked[: size or None])
