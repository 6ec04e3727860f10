"""Gives fresh vectors to a Qdrant server, takes deleted ones back, and moves there what other segments hold."""

import logging
import sqlite3
import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from frag.durable import write_private
from frag.errors import IndexStoreError
from retrievers.database import DATABASE_NAME, connect, transaction
from retrievers.qdrant.server import Server, server_at
from retrievers.segments import manifest
from retrievers.segments.growth import BLOCK, Commit, Growth
from retrievers.segments.manifest import Row
from retrievers.segments.stored import blocks_between, read_between

_log = logging.getLogger(__name__)


class QdrantGrowth(Growth):
    """As `Growth`, which it is one of for the keeper; nothing is too small for the server.

    Args:
        connection: A write connection.
        folder: The collection's.
        commit: See `growth.Commit`.
        url: See `Server`.
        block: Most vectors that are given at once.
    """

    def __init__(
        self, connection: sqlite3.Connection, folder: Path, commit: Commit, *, url: str, block: int = BLOCK
    ) -> None:
        super().__init__(connection, folder, commit, seal_at=1, seal_again_at=1, block=block)
        self._server = server_at(url)
        self._owner = _owner(folder)

    def seal(self) -> bool:
        """Gives the server the oldest fresh vectors; False when there are none."""
        with transaction(self._connection, "DEFERRED"):
            key, rows = self._key(), manifest.read_rows(self._connection)
            after = manifest.sealed_until(self._connection)
            last = self._last_to_seal(after, 1)
            if last is None:
                return False
            ids, vectors = read_between(self._connection, after + 1, last, self._dimension())
        old = [row for row in rows[-1:] if self._is_here(row)]
        name = old[0].collection if old else self._new_collection()
        self._server.delete(name, self._server.ids_from(name, after + 1))  # of a run that was killed here
        self._server.put(name, ids, vectors)
        first, before = (old[0].first_id, old[0].num_vectors) if old else (int(ids[0]), 0)
        return self._put(key, old, self._row(first, int(ids[-1]), name, before + len(ids)), ids, ())

    def merge(self) -> bool:
        """Moves here what lies elsewhere, or takes back what was deleted; False when all is well."""
        rows = manifest.read_rows(self._connection)
        if len(rows) > 1 or not all(self._is_here(row) for row in rows):
            return self._move(rows)
        return any(self._take_back(row) for row in rows)

    def purge(self) -> None:
        """Takes back all that was deleted, gives again what the server has lost, and drops what is nobody's."""
        rows = manifest.read_rows(self._connection)
        if any(self._is_here(row) and self._server.count(row.collection) != row.num_vectors for row in rows):
            self._move(rows)
        while self.merge():
            pass
        self.sweep()

    def sweep(self) -> None:
        """Drops collections of ours that the manifest does not name, and files likewise."""
        super().sweep()
        named = {row.collection for row in manifest.read_rows(self._connection)}
        for name in self._server.names(self._owner):
            if name not in named:
                self._server.drop(name)

    def _move(self, rows: Sequence[Row]) -> bool:
        """Puts one collection of living vectors in the place of `rows`."""
        first, last = rows[0].first_id, rows[-1].last_id
        with transaction(self._connection, "DEFERRED"):
            key, dead = self._key(), manifest.dead_between(self._connection, first, last)
        name, given = self._new_collection(), []
        for ids, vectors in blocks_between(self._connection, first, last, self._dimension()):
            self._server.put(name, ids, vectors)
            given.append(ids)
        if not given:
            return self._put(key, rows, None, dead[:0], dead)
        ids = np.concatenate(given)
        return self._put(key, rows, self._row(first, last, name, len(ids)), ids, np.setdiff1d(dead, ids))

    def _take_back(self, row: Row) -> bool:
        with transaction(self._connection, "DEFERRED"):
            key, dead = self._key(), manifest.dead_between(self._connection, row.first_id, row.last_id)
        if not len(dead):
            return False
        self._server.delete(row.collection, dead)
        left = row.num_vectors - len(dead)
        new = self._row(row.first_id, row.last_id, row.collection, left) if left else None
        return self._put(key, [row], new, dead[:0], dead)

    def _is_here(self, row: Row) -> bool:
        return row.is_remote and row.server == self._server.url

    def _new_collection(self) -> str:
        name = f"{self._owner}{uuid.uuid4().hex[:12]}"
        self._server.create(name, self._dimension())
        return name

    def _row(self, first: int, last: int, collection: str, num_vectors: int) -> Row:
        return Row.remote(first, last, collection, self._server.url, num_vectors)


def forget(folder: Path) -> None:
    """Drops what a server holds for the index in `folder`, which is about to be removed; a failure is logged."""
    if not (folder / manifest.OWNER_FILE).exists():
        return
    try:
        with closing(connect(folder / DATABASE_NAME, read_only=True)) as connection:
            for row in manifest.read_rows(connection):
                if row.is_remote:
                    _drop_all(server_at(row.server), _owner(folder))
    except (IndexStoreError, sqlite3.Error) as error:
        _log.warning("Collections of a removed index are left at the Qdrant server: %s", error)


def _drop_all(server: Server, prefix: str) -> None:
    for name in server.names(prefix):
        server.drop(name)


def _owner(folder: Path) -> str:
    """What the names of this index's collections begin with, at whatever server."""
    file = folder / manifest.OWNER_FILE
    if not file.exists():
        write_private(file, f"frag-{uuid.uuid4().hex[:12]}-".encode())
    return file.read_text()
