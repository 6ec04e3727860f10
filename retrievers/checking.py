"""Looks whether an index is whole: its sealed files against their checksums, its searches against exact ones."""

import math
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from frag.errors import IndexStoreError
from frag.protocols import FloatArray
from retrievers.database import connect, index_errors, prepare
from retrievers.qdrant.server import server_at
from retrievers.segments import manifest, quantiser
from retrievers.segments.segment_file import SegmentFile
from retrievers.segments.stored import blocks_between, read_some
from retrievers.snapshot import LiveIndex, Snapshot

_LAST_ID = 2**63 - 1
_TOP_K = 10
_NOISE = 0.3
"""Length of what is added to a stored vector to make a question of it: near it, and not itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexCheck:
    """`recall_at_10` is of the whole index against exact search, in [0, 1], and 1.0 of an empty one.

    `num_fresh` vectors are searched exactly in any case; `damaged` files lose nothing and are made anew by `compact`.
    """

    num_vectors: int
    num_fresh: int
    num_segments: int
    recall_at_10: float
    damaged: tuple[str, ...]


def check_folder(folder: str | Path, questions: int = 100, seed: int = 0) -> IndexCheck:
    """Checks the collection in `folder`, without an embedder, beside everything else that goes on.

    Args:
        folder: The collection's.
        questions: Searches compared: stored vectors with noise.
        seed: Which ones.

    Raises:
        IndexStoreError: The index is damaged, of a later version, or of another program.
    """
    path = prepare(Path(folder))
    with index_errors(path), closing(connect(path, read_only=True)) as connection:
        row = connection.execute(
            "SELECT fingerprint, length(vector) FROM chunks JOIN embeddings USING (embedding_id)"
            " JOIN embedders USING (embedder_key) LIMIT 1"
        ).fetchone()
        if row is None:
            return IndexCheck(num_vectors=0, num_fresh=0, num_segments=0, recall_at_10=1.0, damaged=())
        live = LiveIndex(row[0], row[1] // 4, path.parent)
        with live.read(connection) as snapshot:
            rows = manifest.read_rows(connection)
            return IndexCheck(
                num_vectors=len(snapshot.vectors),
                num_fresh=len(snapshot.vectors.fresh),
                num_segments=len(rows),
                recall_at_10=_recall(connection, snapshot, questions, seed),
                damaged=tuple(name for row in rows for name in _damaged(path.with_name(manifest.SEGMENTS_FOLDER), row)),
            )


def _recall(connection: sqlite3.Connection, snapshot: Snapshot, questions: int, seed: int) -> float:
    vectors = _questions(connection, snapshot, questions, seed)
    exact = [np.zeros((0, 2))] * len(vectors)
    for ids, block in blocks_between(connection, 0, _LAST_ID, snapshot.vectors.fresh.dimension):
        for number, scores in enumerate((block.astype(np.float64) @ vectors.T.astype(np.float64)).T):
            both = np.vstack([exact[number], np.column_stack([scores, ids])])
            exact[number] = both[np.argsort(-both[:, 0], kind="stable")[:_TOP_K]]
    shares = []
    for vector, best in zip(vectors, exact, strict=True):
        found, _ = snapshot.vectors.search(connection, vector, _TOP_K)
        shares.append(len(set(found.tolist()) & set(best[:, 1].astype(int).tolist())) / len(best))
    return float(np.mean(shares))


def _questions(connection: sqlite3.Connection, snapshot: Snapshot, count: int, seed: int) -> FloatArray:
    numbers = np.random.default_rng(seed)
    (last,) = connection.execute("SELECT max(chunk_id) FROM chunks").fetchone()
    tried = numbers.integers(1, last + 1, size=20 * count)
    (first,) = connection.execute("SELECT min(chunk_id) FROM chunks").fetchone()
    _, vectors = read_some(connection, [first, *tried.tolist()], snapshot.vectors.fresh.dimension)
    chosen = vectors[numbers.permutation(len(vectors))[:count]]
    noise = numbers.standard_normal(chosen.shape, dtype=np.float32) * np.float32(_NOISE / math.sqrt(chosen.shape[1]))
    moved = chosen + noise
    unit: FloatArray = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return unit


def _damaged(folder: Path, row: manifest.Row) -> list[str]:
    names: list[str] = []
    if row.is_remote:
        return [] if server_at(row.server).count(row.collection) == row.num_vectors else [row.name]
    try:
        if not SegmentFile.open(folder / row.name).is_sound():
            names.append(row.name)
    except IndexStoreError:
        names.append(row.name)
    try:
        quantiser.read(folder / row.quantiser)
    except IndexStoreError:
        names.append(row.quantiser)
    return names
