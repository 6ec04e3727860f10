"""Finds documents in folders and reads them, one at a time. What cannot be read is reported, never fatal.

Knows file names and sizes; `formats` knows what is inside.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from frag.errors import DocumentError
from frag.types import Document
from retrievers.formats import READERS, Record

DEFAULT_MAX_FILE_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file, or a row of one, that became no document.

    `code` is one of: `unsupported` (suffix), `empty`, `unreadable` (the system refused), `corrupt`,
    `too_large`, `link` (leads out of the folder), `duplicate_id`.
    """

    path: str
    code: str
    reason: str = field(repr=False)


def load_documents(
    source: str | Path, max_file_bytes: int = DEFAULT_MAX_FILE_BYTES
) -> Iterator[Document | SkippedFile]:
    """Yields the documents of a file, or of a folder recursively in sorted order, and what was skipped.

    A document's id is its file's path relative to the folder (its name, for a single file), with `/`; rows of
    `.csv` and `.jsonl` add `#` and the row's `id` or number. Hidden files and folders are passed over. Links
    to folders are not followed, links to files only inside the folder.

    Args:
        source: File or folder.
        max_file_bytes: Larger files are skipped.

    Raises:
        DocumentError: `source` does not exist.
    """
    root = Path(source)
    if root.is_dir():
        for entry in _walk(root, root):
            if isinstance(entry, SkippedFile):
                yield entry
            else:
                yield from _read(entry, _name(entry.relative_to(root)), max_file_bytes, root.resolve())
    elif root.exists():
        yield from _read(root, _name(Path(root.name)), max_file_bytes, None)
    else:
        raise DocumentError(f"There is no file or folder {_name(root)}.", "Check the path.")


def load_part(
    root: str | Path, name: str, max_file_bytes: int = DEFAULT_MAX_FILE_BYTES
) -> Iterator[Document | SkippedFile]:
    """Yields the documents of one file or folder inside `root`, with the ids that `load_documents` gives them.

    Args:
        root: Folder of the collection.
        name: Path relative to it, with `/`. Where there is nothing, nothing is yielded.
        max_file_bytes: A larger file is skipped.
    """
    root = Path(root)
    path = root / name
    if path.is_dir() and not path.is_symlink():
        for entry in _walk(path, root):
            if isinstance(entry, SkippedFile):
                yield entry
            else:
                yield from _read(entry, _name(entry.relative_to(root)), max_file_bytes, root.resolve())
    elif os.path.lexists(path):
        yield from load_file(path, name, max_file_bytes, root)


def load_file(
    path: str | Path, name: str, max_file_bytes: int = DEFAULT_MAX_FILE_BYTES, root: str | Path | None = None
) -> Iterator[Document | SkippedFile]:
    """Yields the documents of one file under the id `name`; a link must not lead out of `root`."""
    yield from _read(Path(path), name, max_file_bytes, Path(root).resolve() if root else None)


def _walk(folder: Path, root: Path) -> Iterator[Path | SkippedFile]:
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError as error:
        yield SkippedFile(_name(folder.relative_to(root)), "unreadable", error.strerror or "")
        return
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_symlink() and path.is_dir():
            yield SkippedFile(_name(path.relative_to(root)), "link", "links to folders are not followed")
        elif entry.is_dir():
            yield from _walk(path, root)
        else:
            yield path


def _read(path: Path, name: str, max_bytes: int, boundary: Path | None) -> Iterator[Document | SkippedFile]:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        yield SkippedFile(name, "unsupported", f"no reader for {path.suffix or 'files without suffix'}")
        return
    try:
        _check(path, max_bytes, boundary)
        for record in reader(path):
            yield _document(record, path, name)
    except DocumentError as error:
        yield SkippedFile(name, str(error.details["reason"]), str(error))
    except OSError as error:
        yield SkippedFile(name, "unreadable", error.strerror or type(error).__name__)


def _check(path: Path, max_bytes: int, boundary: Path | None) -> None:
    """Raises DocumentError for what must not be opened; a pipe, for one, would block for ever."""
    if boundary and not path.resolve().is_relative_to(boundary):
        raise DocumentError("the link leads out of the folder", reason="link")
    if not path.is_file():
        raise DocumentError("not a regular file", reason="unreadable")
    size = path.stat().st_size
    if size == 0:
        raise DocumentError("there is nothing in it", reason="empty")
    if size > max_bytes:
        raise DocumentError(f"{size} bytes are over the limit of {max_bytes}", reason="too_large")


def _document(record: Record, path: Path, name: str) -> Document | SkippedFile:
    document_id = f"{name}#{record.row}" if record.row else name
    if record.problem:
        return SkippedFile(document_id, "corrupt", record.problem)
    text = _valid_unicode(record.text)
    if not text.strip():
        return SkippedFile(document_id, "empty", "there is no text in it")
    return Document(
        document_id=_valid_unicode(document_id), text=text, title=_valid_unicode(record.title) or _name(Path(path.stem))
    )


def _name(path: Path) -> str:
    """The path with `/`; bytes that are not UTF-8 appear as `\\xNN`, since ids are stored as text."""
    return path.as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _valid_unicode(text: str) -> str:
    """`text` with a replacement for each lone surrogate, which no encoder takes; offsets stay."""
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text
