"""Which sealed segments count, and which ids in them are deleted: rows of the collection's own database.

They change in the transactions that change the collection, so that files and rows can never disagree after a crash.
Segments cover all chunk ids up to `sealed_until`; ids only grow, so what is newer is exactly what is not sealed.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from frag.errors import IndexStoreError
from retrievers.vector_index import IdArray

SEGMENTS_FOLDER = "segments"
"""Inside the collection's folder."""
OWNER_FILE = "qdrant.id"
"""There too: what the names of its collections at a Qdrant server begin with."""

MANIFEST_SCHEMA = """
ALTER TABLE collection ADD COLUMN layout INTEGER NOT NULL DEFAULT 0;
-- compressed copies of vectors in files; each covers the chunk ids from first_id to last_id
CREATE TABLE segments (
  first_id INTEGER PRIMARY KEY,
  last_id INTEGER NOT NULL,
  name TEXT NOT NULL UNIQUE,
  quantiser TEXT NOT NULL,
  num_trained INTEGER NOT NULL,
  num_vectors INTEGER NOT NULL
);
-- chunks that are gone, but still in a segment
CREATE TABLE tombstones (chunk_id INTEGER PRIMARY KEY);
"""


WISH_SCHEMA = """
-- where vectors beyond the fresh ones go: the address of a Qdrant server, or files if it is empty
ALTER TABLE collection ADD COLUMN vectors_at TEXT NOT NULL DEFAULT '';
"""

_REMOTE = "qdrant:"


class Row(NamedTuple):
    """One segment. `num_trained`: vectors that there were when the quantiser was trained.

    Of a segment that a Qdrant server holds, `name` is its collection there, and `quantiser` the server's address.
    """

    first_id: int
    last_id: int
    name: str
    quantiser: str
    num_trained: int
    num_vectors: int

    @classmethod
    def remote(cls, first_id: int, last_id: int, collection: str, server: str, num_vectors: int) -> "Row":
        """What a Qdrant server holds."""
        return cls(first_id, last_id, _REMOTE + collection, server, 0, num_vectors)

    @property
    def is_remote(self) -> bool:
        return self.name.startswith(_REMOTE)

    @property
    def collection(self) -> str:
        """At the server."""
        return self.name.removeprefix(_REMOTE)

    @property
    def server(self) -> str:
        return self.quantiser

    def lost(self) -> IndexStoreError:
        """When the server has not got them."""
        return IndexStoreError(
            f"The Qdrant server at {self.server} has lost vectors of its collection {self.collection}.",
            "`frag node compact` gives them to it again.",
        )


def read_wish(connection: sqlite3.Connection) -> str:
    """The address of a Qdrant server, or nothing for files."""
    (address,) = connection.execute("SELECT vectors_at FROM collection").fetchone()
    return str(address)


def write_wish(connection: sqlite3.Connection, address: str) -> None:
    """Inside a transaction of the caller's, or as one of its own."""
    connection.execute("UPDATE collection SET vectors_at = ?", (address,))


def read_rows(connection: sqlite3.Connection) -> list[Row]:
    """By ascending ids."""
    return [Row(*row) for row in connection.execute("SELECT * FROM segments ORDER BY first_id")]


def sealed_until(connection: sqlite3.Connection) -> int:
    """The highest chunk id that segments cover; 0 without any."""
    (last,) = connection.execute("SELECT coalesce(max(last_id), 0) FROM segments").fetchone()
    return int(last)


def dead_between(connection: sqlite3.Connection, first_id: int, last_id: int) -> IdArray:
    """Deleted ids that a segment of this range may hold, ascending."""
    rows = connection.execute(
        "SELECT chunk_id FROM tombstones WHERE chunk_id BETWEEN ? AND ? ORDER BY chunk_id", (first_id, last_id)
    )
    return np.fromiter((row[0] for row in rows), dtype=np.int64)


def replace(connection: sqlite3.Connection, old: Sequence[Row], new: Row | None, dropped: Iterable[int]) -> None:
    """Puts `new` in the place of `old`, forgets the tombstones `dropped` that no file holds any more."""
    connection.executemany("DELETE FROM segments WHERE first_id = ?", ((row.first_id,) for row in old))
    if new is not None:
        connection.execute("INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?)", new)
    connection.executemany("DELETE FROM tombstones WHERE chunk_id = ?", ((int(one),) for one in dropped))
    connection.execute("UPDATE collection SET layout = layout + 1")


def bury_missing(connection: sqlite3.Connection, ids: IdArray) -> None:
    """Tombstones for those `ids` that were deleted while their segment was made."""
    living = connection.execute(
        "SELECT chunk_id FROM chunks WHERE chunk_id BETWEEN ? AND ?", (int(ids[0]), int(ids[-1]))
    )
    gone = np.setdiff1d(ids, np.fromiter((row[0] for row in living), dtype=np.int64))
    connection.executemany("INSERT OR IGNORE INTO tombstones VALUES (?)", ((int(one),) for one in gone))


def forget_all(connection: sqlite3.Connection) -> None:
    """When another embedder's vectors take their place: every segment is of the old one."""
    connection.execute("DELETE FROM segments")
    connection.execute("DELETE FROM tombstones")
    connection.execute("UPDATE collection SET layout = layout + 1")
