"""The vectors that a Qdrant server holds, as one segment of the whole."""

import sqlite3
from dataclasses import dataclass, field

import numpy as np

from frag.protocols import FloatArray
from retrievers.qdrant.server import Server, server_at
from retrievers.segments.manifest import Row
from retrievers.vector_index import IdArray


@dataclass(frozen=True, slots=True)
class QdrantSegment:
    """Approximate, like a sealed file. `ids` are all that the server holds, `dead` those deleted since; both ascend."""

    row: Row
    server: Server = field(repr=False)
    ids: IdArray = field(repr=False)
    dead: IdArray = field(repr=False)

    @classmethod
    def open(cls, connection: sqlite3.Connection, row: Row, dead: IdArray) -> "QdrantSegment":
        """Raises IndexStoreError when the server does not hold what the manifest says."""
        server = server_at(row.server)
        if server.count(row.collection) < row.num_vectors:
            raise row.lost()
        living = connection.execute(
            "SELECT chunk_id FROM chunks WHERE chunk_id BETWEEN ? AND ?", (row.first_id, row.last_id)
        )
        ids = np.fromiter((one for (one,) in living), dtype=np.int64)
        return cls(row, server, np.union1d(ids, dead), dead)

    @property
    def num_alive(self) -> int:
        return len(self.ids) - len(self.dead)

    def without(self, ids: IdArray) -> "QdrantSegment":
        """The same with `ids` marked as deleted; itself if it holds none of them alive."""
        gone = np.setdiff1d(np.intersect1d(ids, self.ids), self.dead)
        return QdrantSegment(self.row, self.server, self.ids, np.union1d(self.dead, gone)) if len(gone) else self

    def candidates(self, vector: FloatArray, depth: int) -> tuple[IdArray, FloatArray]:
        """About the `depth` best living ids for `vector` [d], and their approximate scores. Raises IndexStoreError."""
        return self.server.nearest(self.row.collection, vector, depth, self.dead)
