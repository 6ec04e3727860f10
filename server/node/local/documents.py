"""Adds, changes and deletes documents of a running node. The folder of a collection is the truth; the index follows it.

Everything here blocks, but for what says otherwise. What is acknowledged is durable: the file first, then the index.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from frag.durable import sync_folder
from frag.errors import ConflictError, DocumentError, NotFoundError, NotReadyError
from frag.policy_settings import CollectionSettings
from frag.protocols import Progress
from frag.types import Document
from retrievers.compaction import Compaction
from retrievers.documents import SkippedFile, load_file, load_part
from retrievers.ingest import Leaving
from retrievers.store import DocumentStore, IngestReport
from server.node.local.places import place_of, remove, require_readable
from server.node.training.forgetting import Forgotten, TrainingMemory, both

WAIT_S = 30.0
"""How long an ingest that runs elsewhere is waited for."""

Writing = Callable[[], AbstractContextManager[None]]


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What a PUT did. `documents` are the ids that the file's text is found under: its own, or those of its rows."""

    collection: str
    document_id: str
    documents: list[str]
    skipped: dict[str, str]
    created: bool
    training: Forgotten = Forgotten()
    """What was taken out of training, since the document no longer says it."""


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """What a DELETE did. Text that was deleted leaves the index files for good with `frag node compact`."""

    collection: str
    document_id: str
    documents: list[str]
    training: Forgotten
    is_settled: bool = True
    """False: an ingest runs that may have read the document before, so that it might come back."""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A document without its text. `modified_at` and `num_bytes` are those of its file, if that is still there."""

    collection: str
    document_id: str
    num_chars: int
    num_chunks: int
    num_bytes: int | None
    modified_at: str | None


class Shelf:
    """One collection: its folder and its index.

    Args:
        settings: Of the collection.
        stores: The indices by collection; its own may change over to another embedder, but not while it is written.
        memory: What else may hold text of its documents; None where nothing is trained.
        ending: Set when the node ends: ingests that run are given up.
        forget: Told of the passages that are deleted.
        writing: Holds off a change of embedder while documents change.
    """

    def __init__(
        self,
        settings: CollectionSettings,
        stores: Mapping[str, DocumentStore],
        memory: TrainingMemory | None,
        ending: threading.Event | None = None,
        forget: Callable[[Sequence[str]], None] = lambda _texts: None,
        writing: Writing = nullcontext,
    ) -> None:
        self.name = settings.name
        self.folder = settings.folder
        self._stores = stores
        self._writing = writing
        self._memory = memory
        self._ending = ending or threading.Event()
        self._forget_elsewhere = forget

    @property
    def store(self) -> DocumentStore:
        """The index that is searched now."""
        return self._stores[self.name]

    def place(self, document_id: str) -> Path:
        """The file that a PUT of this document writes. Raises BadRequestError or ConflictError."""
        path = place_of(self.folder, document_id)
        require_readable(path)
        if path.is_dir():
            raise ConflictError("There is a folder of this name.", "Choose another name.")
        return path

    def take(self, written: Path, document_id: str) -> Stored:
        """Makes the finished file `written` the document's, and brings the index up to date with it.

        Raises:
            DocumentError: It cannot be read; nothing has changed.
            NotReadyError: Another ingest runs for long; nothing has changed, unless that one began just now.
        """
        path = self.place(document_id)
        found = list(load_file(written, document_id))
        if not any(isinstance(item, Document) for item in found):
            codes = sorted({item.code for item in found if isinstance(item, SkippedFile)}) or ["empty"]
            raise DocumentError(f"The document cannot be read: {', '.join(codes)}.", "Send a file that holds text.")
        with self._writing():
            self.store.wait_for_ingests(WAIT_S)
            created = not path.exists()
            written.replace(path)
            sync_folder(path.parent)
            report, forgotten = self._ingest(found, only=[document_id])
        return Stored(
            collection=self.name,
            document_id=document_id,
            documents=[item.document_id for item in found if isinstance(item, Document)],
            skipped={item.path: item.code for item in report.skipped},
            created=created,
            training=forgotten,
        )

    def follow(self, names: Sequence[str]) -> tuple[IngestReport, Forgotten]:
        """Brings the index up to date with some files or folders, by their paths, which may be gone.

        Raises:
            IndexStoreError: The index cannot be written.
            NotReadyError: Another ingest runs for long.
        """
        with self._writing():
            read = [item for name in names for item in load_part(self.folder, name)]
            return self._ingest(read, only=names)

    def _ingest(
        self,
        sources: Iterable[Document | SkippedFile | Path],
        progress: Progress | None = None,
        *,
        only: Sequence[str] | None = None,
        rebuild: bool = False,
        wait_s: float | None = WAIT_S,
    ) -> tuple[IngestReport, Forgotten]:
        """What no document says any more is taken out of training first, while its text is still known: if the process
        dies in between, the next look at the folder does it again.
        """
        forgotten = Forgotten()

        def forget(leaving: Leaving) -> None:
            nonlocal forgotten
            forgotten = self._forget(leaving.texts, leaving.staying)

        report = self.store.ingest(
            sources,
            progress or self._go_on,
            remove_missing=True,
            only=only,
            rebuild=rebuild,
            wait_s=wait_s,
            on_leaving=forget,
        )
        return report, forgotten

    def delete(self, document_id: str) -> Deleted:
        """Deletes a document for good: file, index, and what training keeps of it.

        Raises:
            NotFoundError: There is no such document.
            ConflictError: It is a folder, or a row of a file.
            DocumentError: The file cannot be deleted; nothing has changed.
            NotReadyError: A job's examples are being prepared, or an ingest runs that may bring back what is not here.
        """
        with self._writing():
            return self._delete(document_id)

    def _delete(self, document_id: str) -> Deleted:
        path = place_of(self.folder, document_id)
        self._require_deletable(path, document_id)
        names = self.store.names_under(document_id)
        if not names and not os.path.lexists(path):
            self.store.wait_for_ingests(WAIT_S)
            names = self.store.names_under(document_id)
            if not names:
                raise NotFoundError("There is no such document.", "`GET /documents` lists those that there are.")
        texts = self.store.texts(names)
        joins = self._memory.num_joins if self._memory else 0
        forgotten = self._forget(texts)
        remove(path)
        self.store.delete(names)
        is_settled = self._is_settled(document_id)
        self._forget_elsewhere(texts)  # a question under way may have met them once more
        if self._memory and self._memory.num_joins != joins:
            forgotten = both(forgotten, self._forget(texts))
        return Deleted(
            collection=self.name,
            document_id=document_id,
            documents=names,
            training=forgotten,
            is_settled=is_settled,
        )

    def _is_settled(self, document_id: str) -> bool:
        """Whether no ingest runs any more that may have read the document before it was deleted."""
        try:
            self.store.wait_for_ingests(WAIT_S)
        except NotReadyError:
            return False
        self.store.delete(self.store.names_under(document_id))
        return True

    def _require_deletable(self, path: Path, document_id: str) -> None:
        if path.is_dir() and not path.is_symlink():
            raise ConflictError("This is a folder.", "Delete its documents one by one.")
        file = document_id.rpartition("#")[0]
        if file and not os.path.lexists(path) and place_of(self.folder, file).is_file():
            raise ConflictError("This document is a row of a file.", "Change or delete the file that it comes from.")

    def whole(self) -> tuple[IngestReport, Forgotten]:
        """Brings the index up to date with the whole folder.

        Raises:
            DocumentError: The folder is gone, or so empty that it may not have been mounted; nothing has changed.
            IndexStoreError: The index cannot be written.
            NotReadyError: Another ingest runs for long.
        """
        with self._writing():
            return self._whole()

    def compact(self) -> Compaction:
        """Rewrites the index files without what was deleted. Raises IndexStoreError or NotReadyError."""
        with self._writing():
            return self.store.compact()

    def _whole(self) -> tuple[IngestReport, Forgotten]:
        if not self.folder.is_dir():
            raise DocumentError(f"The folder of {self.name} is not there.", "Mount or make it.")
        if self.store.count() and not self._holds_files():
            raise DocumentError(
                f"Not one document of {self.name} is in its folder any more.",
                "Mount the folder; or delete what was indexed with `frag node ingest`.",
            )
        return self._ingest([self.folder])

    def ingest_all(self, progress: Progress, *, rebuild: bool) -> tuple[IngestReport, Forgotten]:
        """The same at the operator's word, also of an empty folder; waits for whatever ingest runs.

        Raises:
            IndexStoreError: As `DocumentStore.ingest`.
        """
        return self._ingest([self.folder], progress, rebuild=rebuild, wait_s=None)

    def _go_on(self, _done: int, _total: int) -> None:
        """Called while texts are embedded. What was embedded is kept for the next time."""
        if self._ending.is_set():
            raise NotReadyError("The node is ending.", "The next start takes this up again.")

    def _holds_files(self) -> bool:
        """A folder that is not mounted is empty."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return any(not part.startswith(".") for path in found for part in path.relative_to(self.folder).parts[-1:])

    def listed(self, after: str, limit: int) -> list[Listed]:
        """Documents by ascending id, from the one after `after` on."""
        infos = [info for info in self.store.list_documents() if info.document_id > after][:limit]
        return [self._listed(info.document_id, info.num_chars, info.num_chunks) for info in infos]

    def _listed(self, document_id: str, num_chars: int, num_chunks: int) -> Listed:
        found = None
        with contextlib.suppress(OSError, ValueError):
            found = self._source(document_id).stat()
        return Listed(
            collection=self.name,
            document_id=document_id,
            num_chars=num_chars,
            num_chunks=num_chunks,
            num_bytes=found.st_size if found else None,
            modified_at=datetime.fromtimestamp(found.st_mtime, UTC).isoformat(timespec="seconds") if found else None,
        )

    def _source(self, document_id: str) -> Path:
        path = self.folder / document_id
        file = document_id.rpartition("#")[0]
        return self.folder / file if file and not os.path.lexists(path) else path

    def _forget(self, texts: Sequence[str], staying: Sequence[str] = ()) -> Forgotten:
        self._forget_elsewhere(texts)
        return self._memory.forget(texts, staying) if self._memory and texts else Forgotten()


def shelves(
    collections: Sequence[CollectionSettings],
    stores: Mapping[str, DocumentStore],
    memory: TrainingMemory | None,
    ending: threading.Event,
    forget: Callable[[Sequence[str]], None],
    writing: Writing = nullcontext,
) -> dict[str, Shelf]:
    """One for each collection, by name."""
    return {c.name: Shelf(c, stores, memory, ending, forget, writing) for c in collections}
