"""What the next ingest of a folder would change: files are read and compared, and nothing is embedded or written."""

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from retrievers.chunking import DEFAULT_CHUNK_TOKENS, DEFAULT_OVERLAP_TOKENS
from retrievers.documents import SkippedFile, load_documents
from retrievers.ingest import KEEPS_WHAT_WAS_INDEXED, content_digest, refusal
from retrievers.looking import inventory, names_under


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """Ids of documents that are new, were changed, or whose file is gone. `compared` of them were looked at.

    Unless `is_whole` time was up before the end of the folder, and `gone` is empty.
    """

    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    compared: int = 0
    is_whole: bool = True


def pending(connection: sqlite3.Connection, folder: Path, within_s: float) -> Pending:
    """Compares `folder` with an index that was made with the usual cut, for `within_s` seconds at most. Blocking.

    Raises:
        DocumentError: The folder does not exist.
    """
    stored = inventory(connection)
    seen: set[str] = set()
    new: list[str] = []
    changed: list[str] = []
    until = time.monotonic() + within_s
    for item in load_documents(folder):
        if time.monotonic() > until:
            return Pending(new=tuple(new), changed=tuple(changed), compared=len(seen), is_whole=False)
        refused = item if isinstance(item, SkippedFile) else refusal(item)
        if isinstance(item, SkippedFile) or refused:
            if refused and refused.code in KEEPS_WHAT_WAS_INDEXED:
                seen.update(names_under(connection, refused.path))
            continue
        if item.document_id in seen:
            continue
        seen.add(item.document_id)
        known = stored.get(item.document_id)
        if known is None:
            new.append(item.document_id)
        elif known.digest != content_digest(item, DEFAULT_CHUNK_TOKENS, DEFAULT_OVERLAP_TOKENS):
            changed.append(item.document_id)
    gone = sorted(stored.keys() - seen)
    return Pending(new=tuple(new), changed=tuple(changed), gone=tuple(gone), compared=len(seen))
