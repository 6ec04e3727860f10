"""The vector index in memory, held true to the database: loaded once, then caught up with other writers.

The database is the truth; this is derived. One counter, `collection.revision`, tells a search whether
anything was published since, by whatever process: it costs one row, and unlike `PRAGMA data_version` does not
stir when an ingest only stages embeddings.
"""

import itertools
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter

import numpy as np

from frag.errors import IndexStoreError
from frag.protocols import FloatArray
from retrievers.vector_index import VectorIndex

_ROWS_PER_FETCH = 4096


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The collection at one revision. `fingerprint` is of the vectors' embedder, empty before the first."""

    revision: int
    generation: int
    fingerprint: str
    last_chunk_id: int
    last_removal: int
    vectors: VectorIndex = field(repr=False)
    common_words: set[str] = field(default_factory=set, repr=False)
    """Filled by searches (`lexical_index.search_words`)."""


class LiveIndex:
    """Swaps snapshots under concurrent searches. Vectors of another embedder are never loaded.

    Args:
        fingerprint: Of the embedder whose vectors are wanted.
        dimension: Of its vectors.
    """

    def __init__(self, fingerprint: str, dimension: int) -> None:
        self._fingerprint = fingerprint
        self._lock = threading.Lock()
        self._snapshot = Snapshot(-1, -1, "", 0, 0, VectorIndex(dimension))

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
        """Commits the write transaction of `connection` and shows its result to searches in the same moment.

        The new snapshot is made before, so that no search waits for it.
        """
        snapshot = self._caught_up(connection)
        with self._lock:
            connection.execute("COMMIT")
            self._snapshot = snapshot

    def _caught_up(self, connection: sqlite3.Connection) -> Snapshot:
        old = self._snapshot
        revision, generation, fingerprint = connection.execute(
            "SELECT revision, generation, coalesce(fingerprint, '')"
            " FROM collection LEFT JOIN embedders USING (embedder_key)"
        ).fetchone()
        if revision == old.revision:
            return old
        empty = VectorIndex(old.vectors.dimension)
        if fingerprint != self._fingerprint:
            return Snapshot(revision, generation, fingerprint, 0, 0, empty)
        if (generation, fingerprint) != (old.generation, old.fingerprint):
            old = Snapshot(revision, generation, fingerprint, 0, _last_removal(connection), empty)
        return _caught_up(connection, old, revision)


def _last_removal(connection: sqlite3.Connection) -> int:
    (sequence,) = connection.execute("SELECT coalesce(max(sequence), 0) FROM removals").fetchone()
    return int(sequence)


def _caught_up(connection: sqlite3.Connection, old: Snapshot, revision: int) -> Snapshot:
    removals = connection.execute(
        "SELECT sequence, chunk_id FROM removals WHERE sequence > ? ORDER BY sequence", (old.last_removal,)
    ).fetchall()
    ids, vectors = _read_vectors(connection, old.last_chunk_id, old.vectors.dimension)
    kept = old.vectors.remove(chunk_id for _, chunk_id in removals) if removals else old.vectors
    return Snapshot(
        revision=revision,
        generation=old.generation,
        fingerprint=old.fingerprint,
        last_chunk_id=max(ids, default=old.last_chunk_id),
        last_removal=removals[-1][0] if removals else old.last_removal,
        vectors=kept.add(ids, vectors),
    )


def _read_vectors(connection: sqlite3.Connection, after_chunk_id: int, dimension: int) -> tuple[list[int], FloatArray]:
    cursor = connection.execute(
        "SELECT chunk_id, vector FROM chunks JOIN embeddings USING (embedding_id) WHERE chunk_id > ? ORDER BY chunk_id",
        (after_chunk_id,),
    )
    ids: list[int] = []
    blocks: list[FloatArray] = []
    while rows := cursor.fetchmany(_ROWS_PER_FETCH):
        ids.extend(row[0] for row in rows)
        blocks.append(_decode([row[1] for row in rows], dimension))
    return ids, np.concatenate(blocks) if blocks else np.zeros((0, dimension), dtype=np.float32)


def read_document_vectors(connection: sqlite3.Connection, dimension: int) -> dict[str, FloatArray]:
    """The mean of each document's chunk vectors, scaled to norm 1; documents without chunks are left out."""
    rows = connection.execute(
        "SELECT document_id, vector FROM chunks JOIN embeddings USING (embedding_id) ORDER BY document_id"
    )
    means = {}
    for document_id, group in itertools.groupby(rows, key=itemgetter(0)):
        mean = _decode([vector for _, vector in group], dimension).mean(axis=0)
        means[document_id] = mean / max(float(np.linalg.norm(mean)), 1e-12)
    return means


def _decode(blobs: list[bytes], dimension: int) -> FloatArray:
    if {len(blob) for blob in blobs} != {4 * dimension}:
        raise IndexStoreError(
            f"The index holds vectors that are not of dimension {dimension}.",
            "Move it away and run `frag node ingest`; the documents are read again.",
        )
    return np.frombuffer(b"".join(blobs), dtype="<f4").reshape(-1, dimension)
