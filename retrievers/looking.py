"""Small questions about what a collection holds, inside the caller's read transaction."""

import json
import sqlite3
from collections.abc import Iterable


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
