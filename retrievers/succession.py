"""Brings the index to come of a collection up to date with the one that is searched, in steps that each last.

The one to come follows by difference: whatever is added, changed or deleted meanwhile, by whatever process, is found by
the next look. So nothing has to be written twice, and a run that was interrupted goes on where it was.
"""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from retrievers.database import connect, index_errors, prepare, scrub_log
from retrievers.looking import Stored
from retrievers.publication import delete
from retrievers.snapshot import LiveIndex
from retrievers.store import DocumentStore

_CHUNKS_PER_STEP = 128
_IDS = 1 << 40
"""Of passages in one index: an id that somebody remembers never means another passage in the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """How far it is, in passages of the index that is searched; `is_level` when nothing was different any more."""

    done: int
    total: int
    is_level: bool


class Successor:
    """An index to come. Blocking; one thread at a time.

    Args:
        live: What is searched now; may be of another embedder than its object.
        coming: What is made.
    """

    def __init__(self, live: DocumentStore, coming: DocumentStore) -> None:
        self._live = live
        self._coming = coming
        coming.number_above((live.last_chunk_id() // _IDS + 1) * _IDS)

    def look(self) -> Advance:
        """How far it is."""
        wanted, held = _with_passages(self._live.inventory()), self._coming.inventory()
        done = sum(stored.num_chunks for name, stored in wanted.items() if not _differs(held.get(name), stored))
        return Advance(done=done, total=sum(stored.num_chunks for stored in wanted.values()), is_level=False)

    def step(self) -> Advance:
        """Takes over a few hundred passages of what is different now, durably; what is gone goes at once."""
        wanted, held = _with_passages(self._live.inventory()), self._coming.inventory()
        if gone := held.keys() - wanted.keys():
            self._coming.delete(gone)
        missing = {name: stored for name, stored in sorted(wanted.items()) if _differs(held.get(name), stored)}
        if names := _first(missing):
            self._coming.adopt(self._live.documents_of(names))
        total = sum(stored.num_chunks for stored in wanted.values())
        left = sum(stored.num_chunks for name, stored in missing.items() if name not in names)
        return Advance(done=total - left, total=total, is_level=not (missing or gone))


def drop_gone(live: Path, coming: Path) -> None:
    """Takes out of the index in `coming` what is no longer in that in `live`, without an embedder.

    Raises:
        IndexStoreError: One of them cannot be used.
    """
    with index_errors(coming), closing(connect(prepare(coming))) as connection:
        connection.execute("ATTACH ? AS live", (str(prepare(live)),))
        gone = connection.execute("SELECT document_id FROM documents EXCEPT SELECT document_id FROM live.documents")
        names = [row[0] for row in gone.fetchall()]
        connection.execute("DETACH live")
        delete(connection, LiveIndex("", 1), names)
        scrub_log(connection)


def _with_passages(inventory: dict[str, Stored]) -> dict[str, Stored]:
    """What has none cannot be put together again, and no search finds it."""
    return {name: stored for name, stored in inventory.items() if stored.num_chunks}


def _differs(held: Stored | None, wanted: Stored) -> bool:
    return held is None or held.digest != wanted.digest


def _first(missing: dict[str, Stored]) -> list[str]:
    """So many that a step is neither long nor mostly overhead."""
    names: list[str] = []
    num_chunks = 0
    for name, stored in missing.items():
        if num_chunks >= _CHUNKS_PER_STEP:
            break
        names.append(name)
        num_chunks += stored.num_chunks
    return names
