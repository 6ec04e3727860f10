"""An exact vector index that never changes: `add` and `remove` return a new one and share what stayed.

A search holds the snapshot that it began with; whoever owns the index swaps one reference. Results depend on
the (id, vector) set alone, not on how it came to be: equal scores are ordered by id. Knows nothing of text or
storage.

The vectors stand in segments, merged like the levels of a log-structured tree, so that a thousand small adds
leave about ten segments. What outgrows exact search is in `retrievers.segments`.
"""

import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from frag.protocols import FloatArray

IdArray = npt.NDArray[np.int64]

_TIE_MARGIN = 1e-5
"""FAISS sums a dot product in an order that depends on the row's place: scores this close may be equal."""
_LARGE = 8192
_SPARE = 16
"""Candidates fetched beyond `top_k`, so that ties at the edge rarely need a second look."""


@dataclass(frozen=True, slots=True)
class FlatSegment:
    """Vectors in one FAISS `IndexFlatIP`; `ids` ascending, `alive` False where removed."""

    ids: IdArray = field(repr=False)
    alive: npt.NDArray[np.bool_] = field(repr=False)
    flat: Any = field(repr=False)
    num_alive: int

    @classmethod
    def build(cls, ids: IdArray, vectors: FloatArray) -> "FlatSegment":
        """Holds `vectors` [n, d] under `ids` [n], which ascend."""
        flat = _faiss().IndexFlatIP(vectors.shape[1])
        flat.add(vectors)
        return cls(ids, np.ones(len(ids), dtype=np.bool_), flat, len(ids))

    def without(self, ids: IdArray) -> "FlatSegment":
        """The same vectors with `ids` marked as removed; itself if it holds none of them."""
        gone = self.rows_of(ids)
        if not len(gone):
            return self
        alive = self.alive.copy()
        alive[gone] = False
        return FlatSegment(self.ids, alive, self.flat, int(alive.sum()))

    def rows_of(self, ids: IdArray) -> IdArray:
        """The rows of those `ids` that are here and alive."""
        rows = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        found: IdArray = rows[(self.ids[rows] == ids) & self.alive[rows]]
        return found

    def contents(self) -> tuple[IdArray, FloatArray]:
        """The living ids [m] and their vectors [m, d]."""
        vectors: FloatArray = self.flat.reconstruct_n(0, len(self.ids))
        return (self.ids, vectors) if self.num_alive == len(self.ids) else (self.ids[self.alive], vectors[self.alive])

    def candidates(self, vector: FloatArray, depth: int) -> tuple[IdArray, FloatArray]:
        """Rows of the `depth` best living vectors, best first, and their inner products with `vector` [d]."""
        with one_thread():
            scores, rows = self.flat.search(vector[None], min(depth, self.num_alive), params=self._living())
        return rows[0], scores[0]

    def above(self, vector: FloatArray, floor: float) -> tuple[IdArray, FloatArray]:
        """Ids and scores of all living vectors of at least `floor`, by ascending id."""
        with one_thread():
            _, _, rows = self.flat.range_search(vector[None], floor - _TIE_MARGIN, params=self._living())
        rows = np.sort(rows)
        scores = inner_products(self.flat.reconstruct_batch(rows), vector) if len(rows) else np.zeros(0, np.float32)
        kept = scores >= floor
        return self.ids[rows[kept]], scores[kept]

    def _living(self) -> Any:  # noqa: ANN401 - FAISS is untyped
        if self.num_alive == len(self.ids):
            return None
        selector = _faiss().IDSelectorBitmap(np.packbits(self.alive, bitorder="little"))
        return _faiss().SearchParameters(sel=selector)

    def search(self, vector: FloatArray, top_k: int) -> tuple[IdArray, FloatArray]:
        """Ids and scores of the best vectors, unordered, with all that tie at the edge of `top_k`."""
        depth = top_k + _SPARE
        rows, scores = self.candidates(vector, depth)
        while len(rows) < self.num_alive and scores[-1] > scores[top_k - 1] - _TIE_MARGIN:
            depth *= 4
            rows, scores = self.candidates(vector, depth)
        return self.ids[rows], inner_products(self.flat.reconstruct_batch(rows), vector)


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """Searches unit vectors [n, dimension] by inner product, exactly. Immutable, hence thread-safe."""

    dimension: int
    segments: tuple[FlatSegment, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return sum(segment.num_alive for segment in self.segments)

    def add(self, ids: Iterable[int], vectors: FloatArray) -> "VectorIndex":
        """Returns an index that also holds `vectors` [n, dimension] under `ids` [n].

        Raises:
            ValueError: Shapes do not fit, a value is not finite, or an id is negative, repeated or present.
        """
        new_ids = np.fromiter(ids, dtype=np.int64)
        if vectors.shape != (len(new_ids), self.dimension):
            raise ValueError(f"vectors have shape {vectors.shape}, need ({len(new_ids)}, {self.dimension})")
        order = np.argsort(new_ids, kind="stable")
        new_ids = new_ids[order]
        if (np.diff(new_ids, prepend=-1) <= 0).any():
            raise ValueError("ids must be unique and not negative")
        if any(len(segment.rows_of(new_ids)) for segment in self.segments):
            raise ValueError("an id is in the index already")
        if not np.isfinite(vectors).all():
            raise ValueError("vectors must be finite")
        if not len(new_ids):
            return self
        added = FlatSegment.build(new_ids, np.ascontiguousarray(vectors[order], dtype=np.float32))
        return VectorIndex(self.dimension, _merge((*self.segments, added)))

    def remove(self, ids: Iterable[int]) -> "VectorIndex":
        """Returns an index without `ids`; those that it does not hold are ignored."""
        gone = np.fromiter(ids, dtype=np.int64)
        kept = (_compact(segment.without(gone)) for segment in self.segments)
        return VectorIndex(self.dimension, _merge(tuple(segment for segment in kept if segment.num_alive)))

    def ids_between(self, first_id: int, last_id: int) -> IdArray:
        """The ids from `first_id` to `last_id`, both included, that the index holds."""
        parts = [segment.ids[segment.alive] for segment in self.segments]
        ids: IdArray = np.concatenate([np.zeros(0, dtype=np.int64), *parts])
        return ids[(ids >= first_id) & (ids <= last_id)]

    def search(self, vectors: FloatArray, top_k: int) -> tuple[IdArray, FloatArray]:
        """Returns ids and inner products, both [n, top_k], best first, equal scores by ascending id.

        Rows end in id -1 and score -inf where the index holds fewer than `top_k` vectors.

        Raises:
            ValueError: `vectors` is not [n, dimension], or `top_k` is below 1.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.dimension or top_k < 1:
            raise ValueError(f"need vectors [n, {self.dimension}] and top_k >= 1: {vectors.shape}, {top_k}")
        ids = np.full((len(vectors), top_k), -1, dtype=np.int64)
        scores = np.full((len(vectors), top_k), -np.inf, dtype=np.float32)
        for row, vector in enumerate(np.ascontiguousarray(vectors, dtype=np.float32)):
            found = [segment.search(vector, top_k) for segment in self.segments]
            if found:
                found_ids, found_scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
                best = np.lexsort((found_ids, -found_scores))[:top_k]
                ids[row, : len(best)], scores[row, : len(best)] = found_ids[best], found_scores[best]
        return ids, scores

    def above(self, vector: FloatArray, floor: float) -> dict[int, float]:
        """Ids and inner products of all vectors of at least `floor`: each is here or not, whatever others are.

        Args:
            vector: [dimension].
            floor: In [-1, 1] for unit vectors.
        """
        return {
            chunk_id: score
            for segment in self.segments
            for chunk_id, score in zip(*(part.tolist() for part in segment.above(vector, floor)), strict=True)
        }

    def scores(self, vector: FloatArray, ids: Iterable[int]) -> dict[int, float]:
        """Inner products of `vector` [dimension] with the vectors of `ids`, exactly as `search` has them.

        Ids that the index does not hold are left out.
        """
        wanted = np.unique(np.fromiter(ids, dtype=np.int64))
        result: dict[int, float] = {}
        for segment in self.segments:
            rows = segment.rows_of(wanted)
            if len(rows):
                products = inner_products(segment.flat.reconstruct_batch(rows), vector)
                result.update(zip(segment.ids[rows].tolist(), products.tolist(), strict=True))
        return result


def _faiss() -> Any:  # noqa: ANN401
    # untyped: its Python layer rewrites the signatures of the C++ classes that its stubs describe
    return importlib.import_module("faiss")


@contextmanager
def one_thread() -> Iterator[None]:
    """One query gains nothing from more threads and, on busy cores, waits for them.

    The number belongs to the calling thread and torch may share it, so it is put back.
    """
    faiss = _faiss()
    num_threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(num_threads)


def inner_products(rows: FloatArray, vector: FloatArray) -> FloatArray:
    """Of `rows` [n, d] with `vector` [d]: [n], each a function of its own row only.

    The rounding of a BLAS product would depend on the row's place.
    """
    products: FloatArray = (rows.astype(np.float64) * vector).sum(axis=1).astype(np.float32)
    return products


def _compact(segment: FlatSegment) -> FlatSegment:
    """Rewrites a segment once more than half of it is removed; the work is paid for by the removals."""
    if 2 * segment.num_alive >= len(segment.ids) or not segment.num_alive:
        return segment
    return FlatSegment.build(*segment.contents())


def _merge(segments: tuple[FlatSegment, ...]) -> tuple[FlatSegment, ...]:
    """Merges from the end while the older neighbour is small, and less than twice as large.

    O(log n) small segments remain, and large ones are copied no more.
    """
    kept = list(segments)
    while len(kept) > 1 and kept[-2].num_alive < min(2 * kept[-1].num_alive, _LARGE):
        newer, older = kept.pop(), kept.pop()
        (older_ids, older_vectors), (newer_ids, newer_vectors) = older.contents(), newer.contents()
        ids, vectors = np.concatenate([older_ids, newer_ids]), np.concatenate([older_vectors, newer_vectors])
        order = np.argsort(ids, kind="stable")
        kept.append(FlatSegment.build(ids[order], vectors[order]))
    return tuple(kept)
