"""Makes sealed segments: seals what is fresh, merges what was sealed, forgets what was deleted.

One at a time in a collection, under `growth_lock`; anybody may search, add and delete meanwhile. A file is made outside
any write transaction, then one short transaction puts it in the manifest, unless the vectors were changed over to
another embedder in between. A file that no manifest names is nobody's.
"""

import itertools
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from frag.errors import IndexStoreError
from frag.protocols import FloatArray
from retrievers.database import transaction
from retrievers.locking import exclusive
from retrievers.segments import manifest, quantiser
from retrievers.segments.manifest import SEGMENTS_FOLDER, Row
from retrievers.segments.segment_file import CodeArray, SegmentFile, lists_in_memory, write_segment
from retrievers.segments.stored import blocks_between, read_between
from retrievers.vector_index import IdArray, one_thread

SEAL_AT = 20_000
"""So many fresh vectors are sealed for the first time; below, a search is exact."""
SEAL_AGAIN_AT = 8_192
"""So many later: those that are not sealed are searched one by one."""
BLOCK = 32_768
"""At most so many at a time."""
_OUTGROWN = 32
"""A quantiser serves segments of so many times the vectors that it was trained among."""
_DEAD_SHARE = 0.2

Commit = Callable[[sqlite3.Connection], None]
"""Ends the transaction, and shows its result to searches of this process."""


def growth_lock(folder: Path, wait_s: float) -> AbstractContextManager[None]:
    """For the time of the block nobody else makes or removes segments of the collection in `folder`."""
    return exclusive(folder / "segments.lock", wait_s)


class Growth:
    """Works on the collection in `folder`; the caller holds `growth_lock`.

    Args:
        connection: A write connection.
        folder: The collection's.
        commit: See `Commit`.
        seal_at: Fewer fresh vectors stay as they are while nothing is sealed.
        seal_again_at: Fewer stay as they are later; not above `seal_at`.
        block: Most vectors that a sealing takes.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        folder: Path,
        commit: Commit,
        *,
        seal_at: int = SEAL_AT,
        seal_again_at: int = SEAL_AGAIN_AT,
        block: int = BLOCK,
    ) -> None:
        self._connection = connection
        self._folder = folder / SEGMENTS_FOLDER
        self._commit = commit
        self._seal_at = seal_at
        self._seal_again_at = min(seal_again_at, seal_at)
        self._block = block

    def seal(self) -> bool:
        """Makes a segment of the oldest fresh vectors; False when there are too few."""
        with transaction(self._connection, "DEFERRED"):
            key, after, rows = (
                self._key(),
                manifest.sealed_until(self._connection),
                manifest.read_rows(self._connection),
            )
            last = self._last_to_seal(after, self._seal_again_at if rows else self._seal_at)
            if last is None:
                return False
            ids, vectors = read_between(self._connection, after + 1, last, self._dimension())
        self._folder.mkdir(mode=0o700, exist_ok=True)
        with one_thread():
            index, name, trained = self._quantiser_for(rows[-1] if rows else None, vectors)
            index.add_with_ids(vectors, ids)
        new = self._write(lists_in_memory(index), index, name, trained, (int(ids[0]), int(ids[-1])))
        return self._put(key, [], new, ids, ())

    def merge(self) -> bool:
        """Joins neighbours of like size, or rewrites a segment that is dead in large part; False when all is well."""
        rows = manifest.read_rows(self._connection)
        if remote := [row for row in rows if row.is_remote]:
            return self._rewrite(remote[:1])
        for older, newer in itertools.pairwise(rows):
            if older.num_vectors < 2 * newer.num_vectors:
                return self._rewrite([older, newer])
        return any(self._rewrite([row]) for row in rows if self._num_dead(row) > _DEAD_SHARE * row.num_vectors)

    def purge(self) -> None:
        """Rewrites every segment that holds something deleted, or cannot be read, and removes what is nobody's."""
        for row in manifest.read_rows(self._connection):
            if self._num_dead(row) or not self._is_sound(row):
                self._rewrite([row])
        self.sweep()

    def sweep(self) -> None:
        """Removes files that the manifest does not name."""
        named = {name for row in manifest.read_rows(self._connection) for name in (row.name, row.quantiser)}
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            if path.name not in named:
                path.unlink(missing_ok=True)

    def _last_to_seal(self, after: int, least: int) -> int | None:
        newer = self._connection.execute(
            "SELECT chunk_id FROM chunks WHERE chunk_id > ? ORDER BY chunk_id LIMIT ?", (after, self._block)
        ).fetchall()
        return int(newer[-1][0]) if len(newer) >= least else None

    def _quantiser_for(self, row: Row | None, vectors: FloatArray) -> tuple[Any, str, int]:
        """An empty index for `vectors` that the segment `row` may be merged with, its file and origin."""
        if row is not None and row.num_trained * _OUTGROWN > row.num_vectors + len(vectors):
            try:
                return quantiser.read(self._folder / row.quantiser), row.quantiser, row.num_trained
            except IndexStoreError:
                pass  # it is trained anew
        return self._train(vectors, len(vectors))

    def _train(self, sample: FloatArray, among: int) -> tuple[Any, str, int]:
        index, name = quantiser.train(sample), f"{uuid.uuid4().hex}.quantiser"
        quantiser.write(index, self._folder / name)
        return index, name, among

    def _rewrite(self, rows: Sequence[Row]) -> bool:
        """Puts one segment without its dead in the place of `rows`, which are neighbours."""
        first, last = rows[0].first_id, rows[-1].last_id
        with transaction(self._connection, "DEFERRED"):
            key, dead = self._key(), manifest.dead_between(self._connection, first, last)
        total = sum(row.num_vectors for row in rows)
        if len(dead) >= total:
            return self._put(key, rows, None, dead[:0], dead)
        fits = len({row.quantiser for row in rows}) == 1 and rows[0].num_trained * _OUTGROWN >= total
        new = (self._joined(rows, dead) if fits else None) or self._anew(first, last)
        return new is not None and self._put(key, rows, new, dead[:0], dead)

    def _joined(self, rows: Sequence[Row], dead: IdArray) -> Row | None:
        """From the files alone; None when one of them is damaged."""
        try:
            files = [SegmentFile.open(self._folder / row.name) for row in rows]
            index = quantiser.read(self._folder / rows[0].quantiser)
        except IndexStoreError:
            return None
        if not all(file.is_sound() for file in files):
            return None
        trained, ends = rows[0].num_trained, (rows[0].first_id, rows[-1].last_id)
        return self._write(_join(files, dead), index, rows[0].quantiser, trained, ends)

    def _anew(self, first: int, last: int) -> Row | None:
        """From the vectors of the database, with a quantiser of their own; None when none of them lives."""
        with transaction(self._connection, "DEFERRED"), one_thread():
            dimension = self._dimension()
            sample = _sample(self._connection, first, last, dimension)
            if not len(sample):
                return None
            (among,) = self._connection.execute(
                "SELECT count(*) FROM chunks WHERE chunk_id BETWEEN ? AND ?", (first, last)
            ).fetchone()
            index, name, trained = self._train(sample, among)
            for ids, vectors in blocks_between(self._connection, first, last, dimension):
                index.add_with_ids(vectors, ids)
        return self._write(lists_in_memory(index), index, name, trained, (first, last))

    def _write(
        self,
        lists: Iterator[tuple[CodeArray, IdArray]],
        index: Any,  # noqa: ANN401
        name: str,
        trained: int,
        ends: tuple[int, int],
    ) -> Row:
        path = self._folder / f"{uuid.uuid4().hex}.segment"
        num_vectors = write_segment(path, lists, index.code_size)
        return Row(*ends, path.name, name, trained, num_vectors)

    def _put(
        self, key: object, old: Sequence[Row], new: Row | None, ids: IdArray, dropped: IdArray | tuple[()]
    ) -> bool:
        """The short transaction; False, and nothing done, when another embedder's vectors came in meanwhile."""
        with transaction(self._connection):
            if key != self._key():
                return False
            manifest.replace(self._connection, old, new, [int(one) for one in dropped])
            if len(ids):
                manifest.bury_missing(self._connection, ids)
            self._commit(self._connection)
        return True

    def _key(self) -> object:
        """Names the embedder whose vectors these are, and how often it was changed."""
        return self._connection.execute("SELECT embedder_key FROM collection").fetchone()

    def _dimension(self) -> int:
        row = self._connection.execute(
            "SELECT length(vector) FROM chunks JOIN embeddings USING (embedding_id) LIMIT 1"
        ).fetchone()
        return int(row[0]) // 4 if row else 1

    def _num_dead(self, row: Row) -> int:
        return len(manifest.dead_between(self._connection, row.first_id, row.last_id))

    def _is_sound(self, row: Row) -> bool:
        if row.is_remote:
            return False  # it belongs into files
        try:
            quantiser.read(self._folder / row.quantiser)
            return SegmentFile.open(self._folder / row.name).is_sound()
        except IndexStoreError:
            return False


def _join(files: Sequence[SegmentFile], dead: IdArray) -> Iterator[tuple[CodeArray, IdArray]]:
    for parts in zip(*(file.lists() for file in files), strict=True):
        codes, ids = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        alive = ~np.isin(ids, dead) if len(dead) else slice(None)
        yield codes[alive], ids[alive]


def _sample(connection: sqlite3.Connection, first: int, last: int, dimension: int) -> FloatArray:
    """Up to a block's vectors, evenly over the range."""
    ids = np.fromiter(
        (
            row[0]
            for row in connection.execute("SELECT chunk_id FROM chunks WHERE chunk_id BETWEEN ? AND ?", (first, last))
        ),
        dtype=np.int64,
    )
    wanted = set(ids[:: max(1, len(ids) // BLOCK)].tolist())
    parts = [
        vectors[[row for row, one in enumerate(block.tolist()) if one in wanted]]
        for block, vectors in blocks_between(connection, first, last, dimension)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, dimension), dtype=np.float32)
