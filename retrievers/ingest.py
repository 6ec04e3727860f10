"""Brings documents into the database: stage, embed what is new, publish all at once.

Staged text lives in temporary tables, which vanish with the connection however the process ends. Embeddings
are kept from the moment they are computed, keyed by embedder and text: an ingest that was interrupted loses
nothing but the cheap part. One transaction publishes; until it commits, searches and other processes see the
old documents only.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from frag.protocols import Embedder, Progress
from frag.types import Document
from retrievers.chunking import chunk_document
from retrievers.database import other_embedder_error, transaction
from retrievers.documents import SkippedFile
from retrievers.publication import Publication, publish
from retrievers.snapshot import LiveIndex

_DOCUMENTS_PER_COMMIT = 256
_CHUNKS_PER_COMMIT = 256

_STAGE = """
CREATE TEMP TABLE seen (document_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TEMP TABLE unread (path TEXT NOT NULL);
CREATE TEMP TABLE gone (document_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TEMP TABLE looked_at (path TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TEMP TABLE staged_documents (
  document_id TEXT PRIMARY KEY,
  content_sha256 BLOB,
  title TEXT,
  num_chars INTEGER,
  num_chunks INTEGER,
  was_published INTEGER
);
CREATE TEMP TABLE staged_chunks (
  position INTEGER PRIMARY KEY,
  document_id TEXT,
  start_char INTEGER,
  end_char INTEGER,
  text_sha256 BLOB,
  text TEXT
);
CREATE TEMP TABLE missing (row INTEGER PRIMARY KEY, position INTEGER NOT NULL);
"""

_FIND_GONE = """
INSERT INTO gone SELECT document_id FROM documents
WHERE document_id NOT IN (SELECT document_id FROM seen) AND NOT EXISTS (
  SELECT 1 FROM unread
  WHERE document_id = path OR substr(document_id, 1, length(path) + 1) IN (path || '#', path || '/')
)
"""

_OUT_OF_SIGHT = """
DELETE FROM gone WHERE NOT EXISTS (
  SELECT 1 FROM looked_at
  WHERE document_id = path OR substr(document_id, 1, length(path) + 1) IN (path || '#', path || '/')
)
"""

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


KEEPS_WHAT_WAS_INDEXED = {"unreadable", "corrupt", "too_large"}
"""A file that cannot be read now may be half copied; one that is empty or gone has been taken away."""


class Ingest:
    """One run over a set of documents, on a connection of its own. Use: `stage`, `embed`, `publish`.

    Args:
        connection: Write connection to a database that `database.prepare` made ready.
        embedder: Embeds and cuts.
        chunk_tokens: As in `chunk_document`.
        overlap_tokens: As in `chunk_document`.
        rebuild: Embeds every document anew, also those that are not among the sources.
        remove_missing: Removes stored documents that are not among the sources.
        only: Files and folders, as ids begin with, that removing is limited to; None for the whole collection.
        digests: Of documents whose own text is not at hand, by id: what the index that they come from knows them by.

    Raises:
        IndexStoreError: The database holds vectors of another embedder and `rebuild` is False.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        embedder: Embedder,
        *,
        chunk_tokens: int,
        overlap_tokens: int,
        rebuild: bool = False,
        remove_missing: bool = False,
        only: Iterable[str] | None = None,
        digests: Mapping[str, bytes] | None = None,
    ) -> None:
        self._connection = connection
        self._embedder = embedder
        self._chunk_tokens = chunk_tokens
        self._overlap_tokens = overlap_tokens
        self._rebuild = rebuild
        self._remove_missing = remove_missing
        self._only = only
        self._digests = digests or {}
        self.num_embedded = 0
        connection.executescript(_STAGE)
        self._embedder_key = self._register_embedder()

    def _register_embedder(self) -> int:
        with transaction(self._connection):
            self._connection.execute(
                "INSERT OR IGNORE INTO embedders (fingerprint) VALUES (?)", (self._embedder.fingerprint,)
            )
            (own,) = self._connection.execute(
                "SELECT embedder_key FROM embedders WHERE fingerprint = ?", (self._embedder.fingerprint,)
            ).fetchone()
            published, num_chunks = self._connection.execute(
                "SELECT embedder_key, num_chunks FROM collection"
            ).fetchone()
            if published not in (None, own) and num_chunks and not self._rebuild:
                raise other_embedder_error()
        return int(own)

    def stage(self, documents: Iterable[Document | SkippedFile]) -> list[SkippedFile]:
        """Cuts every new or changed document; returns what was skipped."""
        skipped: list[SkippedFile] = []
        for batch in _batches(documents, _DOCUMENTS_PER_COMMIT):
            with transaction(self._connection, "DEFERRED"):
                skipped.extend(refused for item in batch if (refused := self._stage_item(item)))
        with transaction(self._connection, "DEFERRED"):
            if self._remove_missing:
                self._find_gone()
            if self._rebuild:
                self._stage_unseen()
        return skipped

    def _find_gone(self) -> None:
        self._connection.execute(_FIND_GONE)
        if self._only is not None:
            self._connection.executemany("INSERT OR IGNORE INTO looked_at VALUES (?)", ((path,) for path in self._only))
            self._connection.execute(_OUT_OF_SIGHT)

    def _stage_item(self, item: Document | SkippedFile) -> SkippedFile | None:
        refused = item if isinstance(item, SkippedFile) else refusal(item)
        if refused is None and isinstance(item, Document):
            refused = self._stage_document(item)
        if refused and refused.code in KEEPS_WHAT_WAS_INDEXED:
            self._connection.execute("INSERT INTO unread VALUES (?)", (refused.path,))
        return refused

    def _stage_document(self, document: Document) -> SkippedFile | None:
        new = self._connection.execute("INSERT OR IGNORE INTO seen VALUES (?)", (document.document_id,))
        if not new.rowcount:
            return SkippedFile(document.document_id, "duplicate_id", "another document has this id")
        digest = self._content_sha256(document)
        published = self._connection.execute(
            "SELECT content_sha256 FROM documents WHERE document_id = ?", (document.document_id,)
        ).fetchone()
        if self._rebuild or published != (digest,):
            self._stage_chunks(document, digest)
        return None

    def _stage_chunks(self, document: Document, digest: bytes) -> None:
        chunks = chunk_document(document, self._embedder, self._chunk_tokens, self._overlap_tokens)
        self._connection.execute(
            "INSERT INTO staged_documents SELECT ?1, ?2, ?3, ?4, ?5,"
            " EXISTS (SELECT 1 FROM documents WHERE document_id = ?1)",
            (document.document_id, digest, document.title, document.num_chars, len(chunks)),
        )
        self._connection.executemany(
            "INSERT INTO staged_chunks (document_id, start_char, end_char, text_sha256, text) VALUES (?, ?, ?, ?, ?)",
            (
                (chunk.document_id, chunk.start_char, chunk.end_char, _sha256(chunk.text), chunk.text)
                for chunk in chunks
            ),
        )

    def _content_sha256(self, document: Document) -> bytes:
        if known := self._digests.get(document.document_id):
            return known
        return content_digest(document, self._chunk_tokens, self._overlap_tokens)

    def _stage_unseen(self) -> None:
        """Stages stored documents that stay though they are not among the sources, from their chunks."""
        rows = self._connection.execute(
            "SELECT document_id, content_sha256, title, num_chars FROM documents"
            " WHERE document_id NOT IN (SELECT document_id FROM seen UNION SELECT document_id FROM gone)"
        ).fetchall()
        for document_id, digest, title, num_chars in rows:
            chunks = self._connection.execute(
                "SELECT start_char, text FROM chunks WHERE document_id = ? ORDER BY start_char",
                (document_id,),
            ).fetchall()
            text = restore_text(chunks, num_chars)
            self._stage_chunks(Document(document_id=document_id, text=text, title=title), digest)

    def embed(self, progress: Progress | None = None) -> None:
        """Embeds the staged texts that have no embedding yet, long ones first; each batch is kept at once."""
        with transaction(self._connection, "DEFERRED"):
            self._connection.execute("DELETE FROM missing")
            self._connection.execute(
                "INSERT INTO missing (position) SELECT min(position) FROM staged_chunks WHERE NOT EXISTS ("
                " SELECT 1 FROM embeddings WHERE embeddings.text_sha256 = staged_chunks.text_sha256"
                " AND embedder_key = ?) GROUP BY text_sha256 ORDER BY length(text) DESC",
                (self._embedder_key,),
            )
        (total,) = self._connection.execute("SELECT count(*) FROM missing").fetchone()
        for first in range(0, total, _CHUNKS_PER_COMMIT):
            if progress:
                progress(first, total)
            self._embed_batch(first)
        if progress:
            progress(total, total)

    def _embed_batch(self, first: int) -> None:
        rows = self._connection.execute(
            "SELECT text_sha256, text FROM missing JOIN staged_chunks USING (position)"
            " WHERE row > ? AND row <= ? ORDER BY row",
            (first, first + _CHUNKS_PER_COMMIT),
        ).fetchall()
        vectors = self._embedder.embed([text for _, text in rows]).astype("<f4")
        with transaction(self._connection):
            self._connection.executemany(
                "INSERT OR IGNORE INTO embeddings (embedder_key, text_sha256, vector) VALUES (?, ?, ?)",
                (
                    (self._embedder_key, digest, vector.tobytes())
                    for (digest, _), vector in zip(rows, vectors, strict=True)
                ),
            )
        self.num_embedded += len(rows)

    def leaving(self) -> Leaving:
        """What the next `publish` takes away: of documents that go, and of those that change."""
        texts = [row[0] for row in self._connection.execute(_LEAVING)]
        staying = [row[0] for row in self._connection.execute(_STAYING)] if texts else []
        return Leaving(texts, staying)

    def publish(self, live: LiveIndex) -> Publication:
        """Makes the staged documents the searchable ones, at once, here and in every other process."""
        while (publication := publish(self._connection, live, self._embedder_key)) is None:
            # a deletion beside this run dropped embeddings that it counted on
            self.embed()
        return publication


def restore_text(chunks: Iterable[tuple[int, str]], num_chars: int) -> str:
    """The text of a document from its chunks (start_char, text), but for the kind of whitespace between."""
    parts: list[str] = []
    length = 0
    for start, text in chunks:
        gap = start - length
        parts.append(("\n" if gap > 1 else " ") * gap)
        new_text = text[max(0, -gap) :]
        parts.append(new_text)
        length += max(gap, 0) + len(new_text)
    return "".join(parts) + "\n" * (num_chars - length)


def content_digest(document: Document, chunk_tokens: int, overlap_tokens: int) -> bytes:
    """What the index knows a document by, 32 bytes: equal ones mean equal text, title and cut."""
    settings = f"{chunk_tokens} {overlap_tokens} {len(document.title)} {document.title}"
    return _sha256(f"{settings} {document.text}")


def refusal(document: Document) -> SkippedFile | None:
    if not document.document_id:
        return SkippedFile("", "corrupt", "the document has no id")
    if not document.text.strip():
        return SkippedFile(document.document_id, "empty", "there is no text in it")
    try:
        f"{document.document_id}{document.title}{document.text}".encode()
    except UnicodeEncodeError:
        return SkippedFile(ascii(document.document_id), "corrupt", "the text holds a lone surrogate")
    return None


def _batches(items: Iterable[Document | SkippedFile], size: int) -> Iterator[list[Document | SkippedFile]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
