"""Vectors as the database holds them: what every score is computed from in the end."""

import json
import sqlite3
from collections.abc import Iterable, Iterator

import numpy as np

from frag.errors import IndexStoreError
from frag.protocols import FloatArray
from retrievers.vector_index import IdArray

ROWS_PER_READ = 4096

_BETWEEN = (
    "SELECT chunk_id, vector FROM chunks JOIN embeddings USING (embedding_id)"
    " WHERE chunk_id BETWEEN ? AND ? ORDER BY chunk_id"
)
_SOME = (
    "SELECT chunk_id, vector FROM chunks JOIN embeddings USING (embedding_id)"
    " WHERE chunk_id IN (SELECT value FROM json_each(?)) ORDER BY chunk_id"
)


def blocks_between(
    connection: sqlite3.Connection, first_id: int, last_id: int, dimension: int
) -> Iterator[tuple[IdArray, FloatArray]]:
    """Ids and vectors of the living chunks from `first_id` to `last_id`, by ascending id, a few thousand at a time."""
    cursor = connection.execute(_BETWEEN, (first_id, last_id))
    while rows := cursor.fetchmany(ROWS_PER_READ):
        yield np.array([row[0] for row in rows], dtype=np.int64), decode([row[1] for row in rows], dimension)


def read_between(
    connection: sqlite3.Connection, first_id: int, last_id: int, dimension: int
) -> tuple[IdArray, FloatArray]:
    """The same at once: ids [n] and vectors [n, dimension]."""
    blocks = list(blocks_between(connection, first_id, last_id, dimension))
    if not blocks:
        return np.zeros(0, dtype=np.int64), np.zeros((0, dimension), dtype=np.float32)
    return np.concatenate([ids for ids, _ in blocks]), np.concatenate([vectors for _, vectors in blocks])


def read_some(connection: sqlite3.Connection, ids: Iterable[int], dimension: int) -> tuple[IdArray, FloatArray]:
    """Those of `ids` that live, ascending, and their vectors."""
    wanted = json.dumps(sorted({int(one) for one in ids}))
    rows = connection.execute(_SOME, (wanted,)).fetchall()
    if not rows:
        return np.zeros(0, dtype=np.int64), np.zeros((0, dimension), dtype=np.float32)
    return np.array([row[0] for row in rows], dtype=np.int64), decode([row[1] for row in rows], dimension)


def decode(blobs: list[bytes], dimension: int) -> FloatArray:
    """[n, dimension]. Raises IndexStoreError when a vector is of another dimension."""
    if {len(blob) for blob in blobs} != {4 * dimension}:
        raise IndexStoreError(
            f"The index holds vectors that are not of dimension {dimension}.",
            "Move it away and run `frag node ingest`; the documents are read again.",
        )
    return np.frombuffer(b"".join(blobs), dtype="<f4").reshape(-1, dimension)
