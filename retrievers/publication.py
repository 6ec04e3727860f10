"""The transactions that change what can be found: publish staged documents, delete documents.

Each takes text, words and vectors in or out together and counts up the collection's revision, by which other
processes notice. Knows the temporary tables of `ingest` by name.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from retrievers.database import transaction
from retrievers.lexical_index import erase_deleted_words
from retrievers.segments.manifest import forget_all, sealed_until
from retrievers.snapshot import LiveIndex

_MIN_REMOVALS_KEPT = 10_000
"""Readers that are further behind load anew, so the log of removals need not grow for ever."""

_OUTGOING = "CREATE TEMP TABLE IF NOT EXISTS outgoing (document_id TEXT PRIMARY KEY) WITHOUT ROWID"
_OUTGOING_CHUNKS = "FROM chunks WHERE document_id IN (SELECT document_id FROM outgoing)"

_ANY_EMBEDDING_MISSING = """
SELECT EXISTS (
  SELECT 1 FROM staged_chunks LEFT JOIN embeddings
  ON embeddings.text_sha256 = staged_chunks.text_sha256 AND embedder_key = ?
  WHERE embedding_id IS NULL
)
"""

_ANYTHING_NEW = """
SELECT EXISTS (SELECT 1 FROM staged_documents)
  OR EXISTS (SELECT 1 FROM collection WHERE embedder_key IS NOT ?)
"""

_DELETED_MEANWHILE = """
DELETE FROM staged_documents WHERE was_published AND document_id NOT IN (SELECT document_id FROM documents)
"""

_COUNT_CHANGES = """
SELECT
  (SELECT count(*) FROM staged_documents WHERE document_id NOT IN (SELECT document_id FROM documents)),
  (SELECT count(*) FROM staged_documents JOIN documents USING (document_id)
   WHERE staged_documents.content_sha256 != documents.content_sha256),
  (SELECT count(*) FROM seen),
  (SELECT count(*) FROM documents JOIN gone USING (document_id))
"""

_INSERT_DOCUMENTS = """
INSERT INTO documents SELECT document_id, content_sha256, title, num_chars, num_chunks FROM staged_documents
"""

_INSERT_CHUNKS = """
INSERT INTO chunks (document_id, start_char, end_char, embedding_id, text)
SELECT document_id, start_char, end_char, embedding_id, text
FROM staged_documents JOIN staged_chunks USING (document_id) CROSS JOIN embeddings
ON embeddings.text_sha256 = staged_chunks.text_sha256 AND embedder_key = ?
ORDER BY position
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What one publication changed, in documents."""

    added: int
    updated: int
    unchanged: int
    removed: int


def publish(connection: sqlite3.Connection, live: LiveIndex, embedder_key: int) -> Publication | None:
    """Replaces, adds and removes documents as `Ingest` staged them; None if an embedding is missing."""
    with transaction(connection):
        if _one(connection, _ANY_EMBEDDING_MISSING, embedder_key):
            return None
        connection.execute(_DELETED_MEANWHILE)
        added, updated, num_seen, removed = connection.execute(_COUNT_CHANGES).fetchone()
        if removed or _one(connection, _ANYTHING_NEW, embedder_key):
            connection.execute(_OUTGOING)
            connection.execute(
                "INSERT INTO outgoing SELECT document_id FROM gone UNION SELECT document_id FROM staged_documents"
            )
            _take_out(connection)
            connection.execute(_INSERT_DOCUMENTS)
            connection.execute(_INSERT_CHUNKS, (embedder_key,))
            _switch_embedder(connection, embedder_key)
            _count_up(connection)
        _drop_unused_embeddings(connection)
        live.commit(connection)
    return Publication(added=added, updated=updated, unchanged=num_seen - added - updated, removed=removed)


def delete(connection: sqlite3.Connection, live: LiveIndex, document_ids: Iterable[str]) -> int:
    """Removes documents with their text, words and vectors; returns how many there were."""
    with transaction(connection):
        connection.execute(_OUTGOING)
        connection.executemany(
            "INSERT OR IGNORE INTO outgoing SELECT document_id FROM documents WHERE document_id = ?",
            ((document_id,) for document_id in document_ids),
        )
        num_deleted = _one(connection, "SELECT count(*) FROM outgoing")
        if num_deleted:
            embeddings = connection.execute(f"SELECT DISTINCT embedding_id {_OUTGOING_CHUNKS}").fetchall()
            _take_out(connection)
            connection.executemany(
                "DELETE FROM embeddings WHERE embedding_id = ?1"
                " AND NOT EXISTS (SELECT 1 FROM chunks WHERE embedding_id = ?1)",
                embeddings,
            )
            _count_up(connection)
            live.commit(connection)
    return num_deleted


def _take_out(connection: sqlite3.Connection) -> None:
    """Removes the documents of `outgoing`, empties that table and leaves no trace of their words."""
    connection.execute(f"INSERT INTO removals (chunk_id) SELECT chunk_id {_OUTGOING_CHUNKS} ORDER BY chunk_id")
    connection.execute(
        f"INSERT INTO tombstones (chunk_id) SELECT chunk_id {_OUTGOING_CHUNKS} AND chunk_id <= ?",
        (sealed_until(connection),),
    )
    num_chunks = connection.execute(f"DELETE {_OUTGOING_CHUNKS}").rowcount
    connection.execute("DELETE FROM documents WHERE document_id IN (SELECT document_id FROM outgoing)")
    connection.execute("DELETE FROM outgoing")
    if num_chunks:
        erase_deleted_words(connection)


def _switch_embedder(connection: sqlite3.Connection, embedder_key: int) -> None:
    """Notes whose vectors these are; readers of another embedder's vectors must load anew, or stop."""
    if _one(connection, "SELECT embedder_key IS NOT ? FROM collection", embedder_key):
        connection.execute("UPDATE collection SET generation = generation + 1, embedder_key = ?", (embedder_key,))
        forget_all(connection)


def _count_up(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE collection SET revision = revision + 1, num_chunks = (SELECT count(*) FROM chunks)")
    log_is_long = _one(
        connection,
        "SELECT (SELECT count(*) FROM removals) > max(num_chunks, ?) FROM collection",
        _MIN_REMOVALS_KEPT,
    )
    if log_is_long:
        connection.execute("DELETE FROM removals")
        connection.execute("UPDATE collection SET generation = generation + 1")


def _drop_unused_embeddings(connection: sqlite3.Connection) -> None:
    unused = connection.execute(
        "SELECT embedding_id FROM embeddings WHERE NOT EXISTS ("
        " SELECT 1 FROM chunks WHERE chunks.embedding_id = embeddings.embedding_id)"
    ).fetchall()
    connection.executemany("DELETE FROM embeddings WHERE embedding_id = ?", unused)


def _one(connection: sqlite3.Connection, query: str, *parameters: object) -> int:
    (value,) = connection.execute(query, parameters).fetchone()
    return int(value)
