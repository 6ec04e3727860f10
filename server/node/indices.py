"""What a node searches now: an embedder and the index of each collection, changed together between two searches."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from frag.protocols import Embedder, FloatArray, Progress
from frag.types import Scale
from retrievers.generations import CHANGE_LOCK
from retrievers.locking import shared
from retrievers.store import DocumentStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Indices:
    """All of one embedder. `scale` makes its cosines comparable with those of others."""

    embedder: Embedder
    stores: Mapping[str, DocumentStore]
    scale: Scale | None = None


@dataclass(slots=True, eq=False)
class _Turn:
    """Indices, and how many searches hold them."""

    indices: Indices
    users: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)


class LiveIndices:
    """Thread-safe. A search holds one `Indices` from its first step to its last, so that no vector of one embedder
    meets an index of another."""

    def __init__(self, indices: Indices) -> None:
        self._lock = threading.Lock()
        self._turn = _Turn(indices)
        self._door = threading.Lock()
        self.stores: Mapping[str, DocumentStore] = _LiveStores(self)
        self.embedder: Embedder = _LiveEmbedder(self)

    @property
    def now(self) -> Indices:
        """For a look; what searches takes `using`."""
        return self._turn.indices

    @contextmanager
    def using(self) -> Iterator[Indices]:
        """The indices of now, open until the block ends."""
        with self._lock:
            turn = self._turn
            turn.users += 1
        try:
            yield turn.indices
        finally:
            with self._lock:
                turn.users -= 1
                if turn.users == 0 and turn is not self._turn:
                    turn.is_over.set()

    def change(self, indices: Indices) -> threading.Event:
        """From now on searches use these. The event is set when the last one that uses the old has ended."""
        with self._lock:
            old, self._turn = self._turn, _Turn(indices)
            if old.users == 0:
                old.is_over.set()
        return old.is_over

    @contextmanager
    def writing(self, index_folder: Path) -> Iterator[None]:
        """For the time of a change to documents: the indices stay the same until it ends. Not to be nested."""
        with self._door:
            pass
        with shared(index_folder / CHANGE_LOCK):
            yield

    def holding(self) -> threading.Lock:
        """Held, no further change to documents begins in this process."""
        return self._door

    def close(self) -> None:
        """Closes the indices of now."""
        for store in self.now.stores.values():
            store.close()


class _LiveStores(Mapping[str, DocumentStore]):
    """The stores of now."""

    def __init__(self, live: LiveIndices) -> None:
        self._live = live

    def __getitem__(self, name: str) -> DocumentStore:
        return self._live.now.stores[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._live.now.stores)

    def __len__(self) -> int:
        return len(self._live.now.stores)


class _LiveEmbedder:
    """The embedder of now, for those who do not search."""

    def __init__(self, live: LiveIndices) -> None:
        self._live = live

    @property
    def fingerprint(self) -> str:
        return self._live.now.embedder.fingerprint

    @property
    def dimension(self) -> int:
        return self._live.now.embedder.dimension

    @property
    def max_tokens(self) -> int:
        return self._live.now.embedder.max_tokens

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        return self._live.now.embedder.token_offsets(text)

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> FloatArray:
        return self._live.now.embedder.embed(texts, progress)
