"""What the next ingest of a folder would change: files are read and compared, and nothing is embedded or written."""

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from frag.types import Document
from retrievers.chunking import DEFAULT_CHUNK_TOKENS, DEFAULT_OVERLAP_TOKENS
from retrievers.documents import SkippedFile, load_documents
from retrievers.ingest import KEEPS_WHAT_WAS_INDEXED, content_digest, refusal
from retrievers.looking import inventory, names_under


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """Ids of documents that are new, were changed, or whose file is gone. `compared` of them were looked at.

    `skipped` are files that become no document. Where `is_whole` is false, time was up before the end of the folder,
    and `gone` is empty.
    """

    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()
    compared: int = 0
    is_whole: bool = True


def pending(connection: sqlite3.Connection, folder: Path, within_s: float) -> Pending:
    """Compares `folder` with an index that was made with the usual cut, for `within_s` seconds at most. Blocking.

    Raises:
        DocumentError: The folder does not exist.
    """
    comparison = _Comparison(connection)
    until = time.monotonic() + within_s
    for item in load_documents(folder):
        if time.monotonic() > until:
            return comparison.found(is_whole=False)
        comparison.take(item)
    return comparison.found(is_whole=True)


class _Comparison:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._stored = inventory(connection)
        self._seen: set[str] = set()
        self._new: list[str] = []
        self._changed: list[str] = []
        self._skipped: list[SkippedFile] = []

    def take(self, item: Document | SkippedFile) -> None:
        refused = item if isinstance(item, SkippedFile) else refusal(item)
        if refused is not None:
            self._skip(refused)
        elif isinstance(item, Document) and item.document_id not in self._seen:
            self._compare(item)

    def _skip(self, file: SkippedFile) -> None:
        self._skipped.append(file)
        if file.code in KEEPS_WHAT_WAS_INDEXED:
            self._seen.update(names_under(self._connection, file.path))

    def _compare(self, document: Document) -> None:
        self._seen.add(document.document_id)
        known = self._stored.get(document.document_id)
        if known is None:
            self._new.append(document.document_id)
        elif known.digest != content_digest(document, DEFAULT_CHUNK_TOKENS, DEFAULT_OVERLAP_TOKENS):
            self._changed.append(document.document_id)

    def found(self, *, is_whole: bool) -> Pending:
        return Pending(
            new=tuple(self._new),
            changed=tuple(self._changed),
            gone=tuple(sorted(self._stored.keys() - self._seen)) if is_whole else (),
            skipped=tuple(self._skipped),
            compared=len(self._seen),
            is_whole=is_whole,
        )
