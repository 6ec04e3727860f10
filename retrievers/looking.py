"""Small questions about what a collection holds, inside the caller's read transaction."""

import json
import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from frag.types import Document
from retrievers.ingest import restore_text


def names_under(connection: sqlite3.Connection, path: str) -> list[str]:
    """Ids of the document `path`, of its rows `path#…`, and of what lies in the folder `path`; ascending."""
    rows = connection.execute(
        # `$` comes after `#`, and `0` after `/`: ranges that the primary key finds
        "SELECT document_id FROM documents WHERE document_id = ?1"
        " UNION SELECT document_id FROM documents WHERE document_id >= ?1 || '#' AND document_id < ?1 || '$'"
        " UNION SELECT document_id FROM documents WHERE document_id >= ?1 || '/' AND document_id < ?1 || '0'",
        (path,),
    )
    return [row[0] for row in rows]


class Stored(NamedTuple):
    """A document as it lies in an index. Equal digests mean equal text, title and cut."""

    digest: bytes
    num_chunks: int


def inventory(connection: sqlite3.Connection) -> dict[str, Stored]:
    """All documents by id."""
    rows = connection.execute("SELECT document_id, content_sha256, num_chunks FROM documents")
    return {document_id: Stored(digest, num_chunks) for document_id, digest, num_chunks in rows}


def documents_of(connection: sqlite3.Connection, document_ids: Iterable[str]) -> list[tuple[Document, bytes]]:
    """Some documents with their digests, put together from their passages; those that are not here are left out."""
    rows = connection.execute(
        "SELECT document_id, content_sha256, title, num_chars FROM documents"
        " WHERE document_id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(document_ids)),),
    ).fetchall()
    found = []
    for document_id, digest, title, num_chars in rows:
        chunks = connection.execute(
            "SELECT start_char, text FROM chunks WHERE document_id = ? ORDER BY start_char", (document_id,)
        ).fetchall()
        found.append((Document(document_id=document_id, text=restore_text(chunks, num_chars), title=title), digest))
    return found


def texts_of(connection: sqlite3.Connection, document_ids: Iterable[str]) -> list[str]:
    """The passages of some documents, in the order of the documents."""
    rows = connection.execute(
        "SELECT text FROM chunks WHERE document_id IN (SELECT value FROM json_each(?))"
        " ORDER BY document_id, start_char",
        (json.dumps(list(document_ids)),),
    )
    return [row[0] for row in rows]


def holds(connection: sqlite3.Connection, chunk_ids: Iterable[int]) -> bool:
    """Whether all of these passages are there."""
    wanted = set(chunk_ids)
    (found,) = connection.execute(
        "SELECT count(*) FROM chunks WHERE chunk_id IN (SELECT value FROM json_each(?))", (json.dumps(sorted(wanted)),)
    ).fetchone()
    return int(found) == len(wanted)
