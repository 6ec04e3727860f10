"""The passages that an ingest is about to take away, for whoever keeps text of them elsewhere.

Knows the temporary tables of `ingest` by name.
"""

import sqlite3
from typing import NamedTuple

_LEAVING = """
SELECT text FROM chunks
WHERE document_id IN (SELECT document_id FROM gone UNION SELECT document_id FROM staged_documents)
  AND text NOT IN (SELECT text FROM staged_chunks)
"""

_STAYING = """
SELECT text FROM staged_chunks JOIN staged_documents USING (document_id) WHERE was_published
"""


class Leaving(NamedTuple):
    """Passages that nothing holds any more after an ingest, and those of the same documents as they are then."""

    texts: list[str]
    staying: list[str]

    def __repr__(self) -> str:
        return f"Leaving({len(self.texts)} passages)"


def leaving(connection: sqlite3.Connection) -> Leaving:
    """Of documents that go, and of those that change, as they were staged on this connection."""
    texts = [row[0] for row in connection.execute(_LEAVING)]
    staying = [row[0] for row in connection.execute(_STAYING)] if texts else []
    return Leaving(texts, staying)
