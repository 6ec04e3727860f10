"""All vectors of a collection: fresh ones in memory, searched exactly, and sealed segments on the disk.

A sealed segment, or a Qdrant server, names candidates; their scores come from the database, inside the caller's read
transaction. So a score never depends on where a vector lies, and what was deleted cannot be found whatever a file or a
server still holds.
"""

import itertools
import logging
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from frag.errors import IndexStoreError
from frag.protocols import FloatArray
from retrievers.segments import manifest
from retrievers.segments.sealed import SealedSegment
from retrievers.segments.stored import blocks_between, read_between, read_some
from retrievers.vector_index import IdArray, VectorIndex, inner_products

_log = logging.getLogger(__name__)

_SPARE = 32
"""Candidates beyond those asked for: 8-bit codes blur the order at the edge."""


class Segment(Protocol):
    """Vectors that are not in memory. Immutable."""

    @property
    def row(self) -> manifest.Row: ...

    @property
    def num_alive(self) -> int: ...

    def without(self, ids: IdArray) -> "Segment":
        """The same with `ids`, ascending, marked as deleted."""

    def candidates(self, vector: FloatArray, depth: int) -> tuple[IdArray, FloatArray]:
        """About the `depth` best living ids for `vector` [d], and their approximate scores; -1 is padding."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """Immutable, hence thread-safe. `connection` below is always inside a transaction that sees these very chunks."""

    fresh: VectorIndex
    sealed: tuple[Segment, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.fresh) + sum(segment.num_alive for segment in self.sealed)

    @property
    def sealed_until(self) -> int:
        return max((segment.row.last_id for segment in self.sealed), default=0)

    def add(self, ids: Iterable[int], vectors: FloatArray) -> "Vectors":
        """See `VectorIndex.add`."""
        return replace(self, fresh=self.fresh.add(ids, vectors))

    def remove(self, ids: Iterable[int]) -> "Vectors":
        """Without `ids`; those that are not here are ignored."""
        gone = np.unique(np.fromiter(ids, dtype=np.int64))
        return Vectors(self.fresh.remove(gone), tuple(segment.without(gone) for segment in self.sealed))

    def with_layout(self, connection: sqlite3.Connection, folder: Path) -> "Vectors":
        """The same vectors as the manifest divides them; those of a file that cannot be read are held in memory."""
        known = {segment.row: segment for segment in self.sealed}
        fresh, sealed = self.fresh, []
        for row in manifest.read_rows(connection):
            covered = fresh.ids_between(row.first_id, row.last_id)
            try:
                dead = manifest.dead_between(connection, row.first_id, row.last_id)
                sealed.append(known.get(row) or _open(connection, folder, row, dead))
            except IndexStoreError as error:
                _log.warning("%s Its vectors are searched one by one until then.", error)
                ids, vectors = read_between(connection, row.first_id, row.last_id, fresh.dimension)
                new = ~np.isin(ids, covered)
                fresh = fresh.add(ids[new], vectors[new])
            else:
                fresh = fresh.remove(covered) if len(covered) else fresh
        return Vectors(fresh, tuple(sealed))

    def search(self, connection: sqlite3.Connection, vector: FloatArray, top_k: int) -> tuple[IdArray, FloatArray]:
        """Ids and cosines of the best `top_k` for `vector` [d], best first, equal ones by ascending id.

        Exact among fresh vectors; among sealed ones a near neighbour may be missing, and the scores are exact.
        """
        ids, scores = self.fresh.search(vector[None], top_k)
        ids, scores = ids[0][ids[0] >= 0], scores[0][ids[0] >= 0]
        if not self.sealed:
            return ids, scores
        found, vectors = read_some(connection, self._candidates(vector, top_k + _SPARE), self.fresh.dimension)
        ids = np.concatenate([ids, found])
        scores = np.concatenate([scores, inner_products(vectors, vector)])
        best = np.lexsort((ids, -scores))[:top_k]
        return ids[best], scores[best]

    def _candidates(self, vector: FloatArray, depth: int) -> list[int]:
        found = [segment.candidates(vector, depth) for segment in self.sealed]
        ids, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
        best = np.argsort(-scores, kind="stable")[:depth]
        return [one for one in ids[best].tolist() if one >= 0]

    def above(self, connection: sqlite3.Connection, vector: FloatArray, floor: float) -> dict[int, float]:
        """Ids and cosines of all vectors of at least `floor`, exactly: each is here or not, whatever others are."""
        found = self.fresh.above(vector, floor)
        for segment in self.sealed:
            row = segment.row
            for ids, vectors in blocks_between(connection, row.first_id, row.last_id, self.fresh.dimension):
                scores = inner_products(vectors, vector)
                kept = scores >= floor
                found.update(zip(ids[kept].tolist(), scores[kept].tolist(), strict=True))
        return found

    def scores(self, connection: sqlite3.Connection, vector: FloatArray, ids: Iterable[int]) -> dict[int, float]:
        """Cosines of `vector` [d] with the vectors of `ids`, exactly as `search` has them; others are left out."""
        known, wanted = itertools.tee(ids)
        result = self.fresh.scores(vector, known)
        if rest := [one for one in wanted if one not in result] if self.sealed else []:
            found, vectors = read_some(connection, rest, self.fresh.dimension)
            result.update(zip(found.tolist(), inner_products(vectors, vector).tolist(), strict=True))
        return result


def _open(connection: sqlite3.Connection, folder: Path, row: manifest.Row, dead: IdArray) -> Segment:
    if row.is_remote:
        from retrievers.qdrant.segment import QdrantSegment

        return QdrantSegment.open(connection, row, dead)
    return SealedSegment.open(folder, row, dead)
