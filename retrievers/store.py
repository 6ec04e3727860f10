"""A searchable collection of documents in a folder: add, update, delete, search.

One SQLite database is the truth; vectors in memory are derived from it (`snapshot`). Every process that opens
the folder sees what any other published or deleted, at its next search. Knows nothing of language models.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from frag.protocols import Embedder, Progress
from frag.types import Document
from retrievers import publication
from retrievers.chunking import DEFAULT_CHUNK_TOKENS, DEFAULT_OVERLAP_TOKENS
from retrievers.compaction import DEFAULT_WAIT_S, Compaction, compact_folder
from retrievers.database import (
    DATABASE_NAME,
    connect,
    index_errors,
    prepare,
    scrub_log,
    transaction,
)
from retrievers.documents import DEFAULT_MAX_FILE_BYTES, SkippedFile, load_documents
from retrievers.ingest import Ingest, Leaving
from retrievers.locking import exclusive as _exclusive
from retrievers.reading import StoredDocuments
from retrievers.segments.choosing import DEFAULT_PACE, Pace
from retrievers.segments.keeper import Keeper
from retrievers.segments.manifest import read_wish, write_wish

Source = str | Path | Document | SkippedFile
"""A skipped file says that what was indexed of it may stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """What an ingest did, in documents.

    `num_chunks` are in the collection now; `num_embedded` texts passed through the embedder in this run.
    """

    added: int
    updated: int
    unchanged: int
    removed: int
    skipped: tuple[SkippedFile, ...]
    num_chunks: int
    num_embedded: int
    seconds: float


class DocumentStore(StoredDocuments):
    """The `frag.protocols.Retriever` over one folder. Thread-safe; searches go on while an ingest runs.

    Make one with `open`; `close` it, or use it as a context manager.
    """

    def __init__(self, path: Path, embedder: Embedder, pace: Pace, vectors_at: str) -> None:
        super().__init__(path, embedder)
        self.vectors_at = vectors_at
        self._keeper = Keeper(path, self._live.commit, pace, at_server=bool(vectors_at))

    @classmethod
    def open(
        cls, folder: str | Path, embedder: Embedder, *, pace: Pace = DEFAULT_PACE, vectors_at: str | None = None
    ) -> Self:
        """Opens the collection in `folder`, made if absent, and loads its vectors.

        A collection of another embedder opens too: it can be listed, deleted from and ingested with
        `rebuild`.

        Args:
            folder: Its folder.
            embedder: Of its passages, and of the questions.
            pace: When vectors go from memory into sealed files.
            vectors_at: Address of a Qdrant server that vectors are given to instead; empty: files; None: as noted in
                the collection. What lies elsewhere is moved in the background.

        Raises:
            IndexStoreError: The index is damaged, of a later version, of another program, or cannot be
            opened.
        """
        path = prepare(Path(folder))
        store = cls(path, embedder, pace, _noted(path, vectors_at))
        with store._reading():
            store._grow()
            return store

    def __repr__(self) -> str:
        return f"DocumentStore({str(self._path.parent)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the files. Searches that run in other threads end first."""
        self._keeper.close()
        self._readers.close()

    def wait_for_growth(self, timeout_s: float) -> bool:
        """Waits until nothing is sealed or merged any more; False after `timeout_s` seconds."""
        return self._keeper.wait(timeout_s)

    def ingest(
        self,
        sources: Source | Iterable[Source],
        progress: Progress | None = None,
        *,
        remove_missing: bool = False,
        only: Iterable[str] | None = None,
        rebuild: bool = False,
        chunk_tokens: int = DEFAULT_CHUNK_TOKENS,
        overlap_tokens: int = DEFAULT_OVERLAP_TOKENS,
        max_file_bytes: int = DEFAULT_MAX_FILE_BYTES,
        wait_s: float | None = None,
        on_leaving: Callable[[Leaving], None] | None = None,
    ) -> IngestReport:
        """Adds new documents and updates changed ones; only chunks whose text is new are embedded.

        All changes become visible at once, at the end. When it is interrupted, by an exception or by `kill
        -9`, the collection is as before, and the next ingest takes up the embeddings that were computed.
        Concurrent ingests of one collection, also in other processes, wait for each other.

        Args:
            sources: Files, folders and documents. Ids of files are their paths relative to the folder given.
            progress: Called with the number of texts embedded and to embed.
            remove_missing: Removes documents that are not among the sources. What was indexed of a file that
                cannot be read now is kept.
            only: Files and folders, as ids begin with, that `remove_missing` is limited to.
            rebuild: Embeds everything anew, also documents that are not among the sources; for a new
            embedder.
            chunk_tokens: Most tokens of a chunk.
            overlap_tokens: Most tokens that a chunk repeats from the one before.
            max_file_bytes: Larger files are skipped.
            wait_s: How long an ingest that runs already is waited for; None: until it ends.
            on_leaving: Told of the passages that go, while they are still here: whoever dies in it, or raises, finds
                them again.

        Raises:
            DocumentError: A source does not exist.
            IndexStoreError: The index cannot be written, or is of another embedder and `rebuild` is False.
            NotReadyError: Another ingest runs for longer than `wait_s`.
        """
        began = time.monotonic()
        with self._writing() as connection, _exclusive(self._lock_file, wait_s):
            run = Ingest(
                connection,
                self._embedder,
                chunk_tokens=chunk_tokens,
                overlap_tokens=overlap_tokens,
                rebuild=rebuild,
                remove_missing=remove_missing,
                only=only,
            )
            skipped = run.stage(_load(sources, max_file_bytes))
            run.embed(progress)
            if on_leaving and (leaving := run.leaving()).texts:
                on_leaving(leaving)
            changes = run.publish(self._live)
            scrub_log(connection)
        self._grow()
        return IngestReport(
            added=changes.added,
            updated=changes.updated,
            unchanged=changes.unchanged,
            removed=changes.removed,
            skipped=tuple(skipped),
            num_chunks=self.count_chunks(),
            num_embedded=run.num_embedded,
            seconds=time.monotonic() - began,
        )

    def adopt(self, documents: Iterable[tuple[Document, bytes]], progress: Progress | None = None) -> int:
        """Adds documents of another index (`documents_of`), cut and embedded anew; returns how many texts were.

        They keep their digests, so that the next ingest of their sources finds them unchanged. Raises as `ingest`.
        """
        taken = list(documents)
        with self._writing() as connection, _exclusive(self._lock_file):
            run = Ingest(
                connection,
                self._embedder,
                chunk_tokens=DEFAULT_CHUNK_TOKENS,
                overlap_tokens=DEFAULT_OVERLAP_TOKENS,
                digests={document.document_id: digest for document, digest in taken},
            )
            run.stage(document for document, _ in taken)
            run.embed(progress)
            run.publish(self._live)
        self._grow()
        return run.num_embedded

    def delete(self, document_ids: Iterable[str]) -> int:
        """Deletes documents for good and returns how many there were; ids that are not stored are ignored.

        An ingest that runs meanwhile does not bring them back; a later one does, if their source is still there.

        When it returns, no search finds them, and their text, words and vectors are overwritten on the disk; a sealed
        segment keeps a compressed copy of a vector until it is merged, or until `compact`.
        """
        with self._writing() as connection:
            num_deleted = publication.delete(connection, self._live, document_ids)
            scrub_log(connection)
        self._grow()
        return num_deleted

    def wait_for_ingests(self, wait_s: float) -> None:
        """Returns when no ingest runs that began before. Raises NotReadyError after `wait_s` seconds."""
        with _exclusive(self._lock_file, wait_s):
            pass

    def compact(self, wait_s: float = DEFAULT_WAIT_S) -> Compaction:
        """Rewrites the files without anything that was deleted. Searches go on meanwhile.

        Raises:
            IndexStoreError: The index cannot be written, or somebody read from it for longer than `wait_s`.
            NotReadyError: An ingest runs for longer than `wait_s`.
        """
        self._readers.check_open()
        return compact_folder(self._path.parent, wait_s)

    def number_above(self, chunk_id: int) -> None:
        """Passages get ids above this one from now on, so that those of another index mean nothing here."""
        with self._writing() as connection, transaction(connection):
            (last,) = connection.execute(
                "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'chunks'"
            ).fetchone()
            if last < chunk_id:
                connection.execute("DELETE FROM sqlite_sequence WHERE name = 'chunks'")
                connection.execute("INSERT INTO sqlite_sequence VALUES ('chunks', ?)", (chunk_id,))

    @property
    def _lock_file(self) -> Path:
        return self._path.parent / "ingest.lock"

    def _grow(self) -> None:
        """A large collection is put into sealed segments, in the background."""
        self._keeper.nudge(self._live.num_fresh)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A write connection of its own, so that deletions go on beside an ingest."""
        self._readers.check_open()
        with index_errors(self._path), closing(connect(self._path)) as connection:
            yield connection


def _noted(path: Path, vectors_at: str | None) -> str:
    with index_errors(path), closing(connect(path)) as connection:
        noted = read_wish(connection)
        if vectors_at is None or vectors_at == noted:
            return noted
        write_wish(connection, vectors_at)
        return vectors_at


def count_documents(folder: str | Path) -> int:
    """Number of documents in the collection of `folder`, without an embedder; 0 if there is none.

    Raises:
        IndexStoreError: The index is damaged, of a later version, or of another program.
    """
    if not (Path(folder) / DATABASE_NAME).exists():
        return 0
    path = prepare(Path(folder))
    with index_errors(path), closing(connect(path, read_only=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM documents").fetchone()[0])


def _load(sources: Source | Iterable[Source], max_file_bytes: int) -> Iterator[Document | SkippedFile]:
    for source in [sources] if isinstance(sources, Source) else sources:
        if isinstance(source, Document | SkippedFile):
            yield source
        else:
            yield from load_documents(source, max_file_bytes)
