"""Brings the index to come of a collection up to date with the one that is searched, in steps that each last.

The one to come follows by difference: whatever is added, changed or deleted meanwhile, by whatever process, is found by
the next look. So nothing has to be written twice, and a run that was interrupted goes on where it was.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from retrievers.looking import Stored
from retrievers.store import DocumentStore

_CHUNKS_PER_STEP = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """How far it is, in passages of the index that is searched."""

    done: int
    total: int

    @property
    def is_complete(self) -> bool:
        return self.done >= self.total


class Successor:
    """An index to come. Blocking; one thread at a time.

    Args:
        live: What is searched now; may be of another embedder than its object.
        coming: What is made.
    """

    def __init__(self, live: DocumentStore, coming: DocumentStore) -> None:
        self._live = live
        self._coming = coming

    def follow(self, on_advance: Callable[[Advance], None] = lambda _advance: None, max_steps: int = 0) -> bool:
        """Takes over what is different now; whether nothing was.

        Args:
            on_advance: Called after each step, which is durable then.
            max_steps: Gives up after so many; 0: never.
        """
        wanted, held = _with_passages(self._live.inventory()), self._coming.inventory()
        if gone := held.keys() - wanted.keys():
            self._coming.delete(gone)
        missing = {name: stored for name, stored in sorted(wanted.items()) if _differs(held.get(name), stored)}
        total = sum(stored.num_chunks for stored in wanted.values())
        done = total - sum(stored.num_chunks for stored in missing.values())
        on_advance(Advance(done=done, total=total))
        for number, names in enumerate(_steps(missing), 1):
            self._coming.adopt(self._live.documents_of(names))
            done += sum(missing[name].num_chunks for name in names)
            on_advance(Advance(done=done, total=total))
            if number == max_steps:
                return False
        return not missing and not gone

    def is_level(self) -> bool:
        """Whether both hold the same documents."""
        wanted, held = _with_passages(self._live.inventory()), self._coming.inventory()
        return wanted.keys() == held.keys() and not any(_differs(held[name], wanted[name]) for name in wanted)


def _with_passages(inventory: dict[str, Stored]) -> dict[str, Stored]:
    """What has none cannot be put together again, and no search finds it."""
    return {name: stored for name, stored in inventory.items() if stored.num_chunks}


def _differs(held: Stored | None, wanted: Stored) -> bool:
    return held is None or held.digest != wanted.digest


def _steps(missing: dict[str, Stored]) -> Iterator[list[str]]:
    names: list[str] = []
    num_chunks = 0
    for name, stored in missing.items():
        names.append(name)
        num_chunks += stored.num_chunks
        if num_chunks >= _CHUNKS_PER_STEP:
            yield names
            names, num_chunks = [], 0
    if names:
        yield names
