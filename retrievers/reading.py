"""What can be asked of a collection: searches, and what is stored. Changes nothing.

Every question sees one state of the collection, the newest that any process has published.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from frag.protocols import Embedder, FloatArray
from frag.types import Document, Hit, RetrievalMode
from retrievers.database import index_errors, other_embedder_error
from retrievers.looking import Stored, documents_of, holds, inventory, names_under, texts_of
from retrievers.ranking import matches, rank
from retrievers.readers import Readers
from retrievers.snapshot import LiveIndex, Snapshot, read_document_vectors


class DocumentInfo(NamedTuple):
    """A stored document without its text."""

    document_id: str
    title: str
    num_chars: int
    num_chunks: int

    def __repr__(self) -> str:
        return f"DocumentInfo({self.document_id!r}, num_chars={self.num_chars}, num_chunks={self.num_chunks})"


class StoredDocuments:
    """The reading half of `retrievers.store.DocumentStore`. Thread-safe.

    Args:
        path: The database.
        embedder: Of the questions; of the passages too, or what is searched raises.
    """

    def __init__(self, path: Path, embedder: Embedder) -> None:
        self._path = path
        self._embedder = embedder
        self._live = LiveIndex(embedder.fingerprint, embedder.dimension, path.parent)
        self._readers = Readers(path)

    def search(self, question: str, top_k: int, mode: RetrievalMode = RetrievalMode.HYBRID) -> list[Hit]:
        """At most `top_k` hits for `question`, best `rank_score` first, no two with the same text.

        Raises:
            IndexStoreError: The index is of another embedder or was damaged.
            ValueError: `top_k` is below 1.
        """
        return self.search_vector(self._embedder.embed([question])[0], question, top_k, mode)

    def search_vector(
        self, vector: FloatArray, question: str, top_k: int, mode: RetrievalMode = RetrievalMode.HYBRID
    ) -> list[Hit]:
        """Like `search`, for a question that is embedded already: `vector` [dimension] of norm 1."""
        if top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {top_k}")
        with self._searching() as (connection, snapshot):
            return rank(connection, snapshot, vector, question, top_k=top_k, mode=mode)

    def matches(self, vector: FloatArray, floor: float) -> list[Hit]:
        """Every chunk whose cosine with `vector` [dimension] is at least `floor`, by ascending chunk id.

        Exact and without any limit, fusion or removal of repeats: whether a document is found depends on that
        document alone, as differential privacy asks.
        """
        with self._searching() as (connection, snapshot):
            return matches(connection, snapshot, vector, floor)

    def document_vectors(self) -> dict[str, FloatArray]:
        """By document, the mean of its chunks' vectors, [dimension] of norm 1."""
        with self._searching() as (connection, _):
            return read_document_vectors(connection, self._embedder.dimension)

    def list_documents(self) -> list[DocumentInfo]:
        """All documents by ascending id."""
        with self._reading() as (connection, _):
            rows = connection.execute(
                "SELECT document_id, title, num_chars, num_chunks FROM documents ORDER BY document_id"
            )
            return [DocumentInfo(*row) for row in rows]

    def names_under(self, path: str) -> list[str]:
        """Ids of the documents of one file, with its rows, or of one folder."""
        with self._reading() as (connection, _):
            return names_under(connection, path)

    def inventory(self) -> dict[str, Stored]:
        """What is stored, by id: two indices of equal inventories hold the same documents."""
        with self._reading() as (connection, _):
            return inventory(connection)

    def last_chunk_id(self) -> int:
        """The highest id that a passage was ever given; 0 before the first."""
        return self._read_number("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'chunks'")

    def documents_of(self, document_ids: Iterable[str]) -> list[tuple[Document, bytes]]:
        """Some documents and their digests, for `adopt`. Whitespace between passages may differ from the source's."""
        with self._reading() as (connection, _):
            return documents_of(connection, document_ids)

    def fingerprint(self) -> str:
        """Of the embedder whose vectors are here; empty while there are none."""
        with self._reading() as (_, snapshot):
            return snapshot.fingerprint if snapshot.revision and self.count_chunks() else ""

    def texts(self, document_ids: Iterable[str]) -> list[str]:
        """The passages of some documents."""
        with self._reading() as (connection, _):
            return texts_of(connection, document_ids)

    def holds(self, chunk_ids: Iterable[int]) -> bool:
        """Whether all of these passages are still here: an id is never given twice, and an edit gives new ones."""
        with self._reading() as (connection, _):
            return holds(connection, chunk_ids)

    def read_chunks(self, after: int, limit: int) -> list[tuple[int, str]]:
        """Up to `limit` (chunk id, text) with ids above `after`, ascending. Ids of new chunks are above all others."""
        with self._reading() as (connection, _):
            query = "SELECT chunk_id, text FROM chunks WHERE chunk_id > ? ORDER BY chunk_id LIMIT ?"
            return list(connection.execute(query, (after, limit)))

    def count(self) -> int:
        """Number of documents."""
        return self._read_number("SELECT count(*) FROM documents")

    def count_chunks(self) -> int:
        return self._read_number("SELECT num_chunks FROM collection")

    def _read_number(self, query: str) -> int:
        with self._reading() as (connection, _):
            return int(connection.execute(query).fetchone()[0])

    def revision(self) -> int:
        """Grows with every change, by any process: names the snapshot that a search sees now."""
        with self._reading() as (_, snapshot):
            return snapshot.revision

    @contextmanager
    def _reading(self) -> Iterator[tuple[sqlite3.Connection, Snapshot]]:
        """A read transaction on a connection from the pool, with the snapshot that belongs to it."""
        with index_errors(self._path), self._readers.one() as connection, self._live.read(connection) as snapshot:
            yield connection, snapshot

    @contextmanager
    def _searching(self) -> Iterator[tuple[sqlite3.Connection, Snapshot]]:
        """The same, refused while the vectors are of another embedder than ours."""
        with self._reading() as (connection, snapshot):
            if snapshot.fingerprint not in ("", self._embedder.fingerprint):
                raise other_embedder_error()
            yield connection, snapshot
