"""The vector index, held true to the database: loaded once, then caught up with other writers.

The database is the truth; this is derived, in memory and from the sealed files of `retrievers.segments`. One row tells
a search whether anything was published since (`revision`), or only put into other files (`layout`), by whatever
process; unlike `PRAGMA data_version` it does not stir when an ingest only stages embeddings.
"""

import itertools
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

import numpy as np

from frag.protocols import FloatArray
from retrievers.segments import manifest
from retrievers.segments.stored import decode, read_between
from retrievers.segments.whole import Vectors
from retrievers.vector_index import VectorIndex

_LAST_ID = 2**63 - 1
_LOG_PAGES = 1000
"""SQLite's own measure of when the log is written back."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The collection at one revision. `fingerprint` is of the vectors' embedder, empty before the first."""

    revision: int
    layout: int
    generation: int
    fingerprint: str
    last_chunk_id: int
    last_removal: int
    vectors: Vectors = field(repr=False)
    common_words: set[str] = field(default_factory=set, repr=False)
    """Filled by searches (`lexical_index.search_words`)."""


class LiveIndex:
    """Swaps snapshots under concurrent searches. Vectors of another embedder are never loaded.

    Args:
        fingerprint: Of the embedder whose vectors are wanted.
        dimension: Of its vectors.
        folder: Of the collection; None where no vectors are looked at.
    """

    def __init__(self, fingerprint: str, dimension: int, folder: Path | None = None) -> None:
        self.fingerprint = fingerprint
        self.dimension = dimension
        self._folder = folder
        self._lock = threading.Lock()
        self._snapshot = Snapshot(-1, -1, -1, "", 0, 0, Vectors(VectorIndex(dimension)))

    @property
    def num_fresh(self) -> int:
        """Vectors that are in no sealed segment, as the last search saw them."""
        return len(self._snapshot.vectors.fresh)

    @contextmanager
    def read(self, connection: sqlite3.Connection) -> Iterator[Snapshot]:
        """A read transaction on `connection`, and the snapshot of exactly what that transaction sees."""
        try:
            with self._lock:
                # inside the lock: a transaction begun before another thread's catch-up would be older than it
                connection.execute("BEGIN")
                snapshot = self._snapshot = self._caught_up(connection)
            yield snapshot
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def commit(self, connection: sqlite3.Connection) -> None:
        """Commits the write transaction of `connection` and shows its result to searches.

        No search waits for it: the new snapshot is made before, the disk is not waited for under the lock, and the log
        is written back by whoever commits next, or by `scrub_log`. A search that comes between the commit and the swap
        catches up by itself.
        """
        snapshot = self._caught_up(connection)
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("COMMIT")
        with self._lock:
            if (snapshot.revision, snapshot.layout) > (self._snapshot.revision, self._snapshot.layout):
                self._snapshot = snapshot
        connection.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")

    def _caught_up(self, connection: sqlite3.Connection) -> Snapshot:
        old = self._snapshot
        revision, layout, generation, fingerprint = connection.execute(
            "SELECT revision, layout, generation, coalesce(fingerprint, '')"
            " FROM collection LEFT JOIN embedders USING (embedder_key)"
        ).fetchone()
        if (revision, layout) == (old.revision, old.layout):
            return old
        empty = Vectors(VectorIndex(self.dimension))
        if fingerprint != self.fingerprint or self._folder is None:
            return Snapshot(revision, layout, generation, fingerprint, 0, 0, empty)
        if (generation, fingerprint) != (old.generation, old.fingerprint):
            old = Snapshot(revision, -1, generation, fingerprint, 0, _last_removal(connection), empty)
        return _caught_up(connection, old, revision, layout, self._folder / manifest.SEGMENTS_FOLDER)


def _last_removal(connection: sqlite3.Connection) -> int:
    (sequence,) = connection.execute("SELECT coalesce(max(sequence), 0) FROM removals").fetchone()
    return int(sequence)


def _caught_up(
    connection: sqlite3.Connection, old: Snapshot, revision: int, layout: int, segments_folder: Path
) -> Snapshot:
    removals = connection.execute(
        "SELECT sequence, chunk_id FROM removals WHERE sequence > ? ORDER BY sequence", (old.last_removal,)
    ).fetchall()
    vectors = old.vectors.remove(chunk_id for _, chunk_id in removals) if removals else old.vectors
    if layout != old.layout:
        vectors = vectors.with_layout(connection, segments_folder)
    last_chunk_id = max(old.last_chunk_id, manifest.sealed_until(connection))
    ids, new = read_between(connection, last_chunk_id + 1, _LAST_ID, old.vectors.fresh.dimension)
    return Snapshot(
        revision=revision,
        layout=layout,
        generation=old.generation,
        fingerprint=old.fingerprint,
        last_chunk_id=max(last_chunk_id, int(ids.max(initial=0))),
        last_removal=removals[-1][0] if removals else old.last_removal,
        vectors=vectors.add(ids, new),
    )


def read_document_vectors(connection: sqlite3.Connection, dimension: int) -> dict[str, FloatArray]:
    """The mean of each document's chunk vectors, scaled to norm 1; documents without chunks are left out."""
    rows = connection.execute(
        "SELECT document_id, vector FROM chunks JOIN embeddings USING (embedding_id) ORDER BY document_id"
    )
    means = {}
    for document_id, group in itertools.groupby(rows, key=itemgetter(0)):
        mean = decode([vector for _, vector in group], dimension).mean(axis=0)
        means[document_id] = mean / max(float(np.linalg.norm(mean)), 1e-12)
    return means
