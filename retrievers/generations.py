"""Which folder holds each collection's index that is searched, and which embedder made it.

An index in a collection's own folder is what there is first. A change of embedder makes another one in a folder
inside, and a file that names it is renamed into place when it is complete: before, everything is as it was; after, the
old files are nobody's and are removed. All collections of one index folder share an embedder and change over together.
"""

import hashlib
import shutil
from contextlib import closing
from pathlib import Path
from typing import Annotated

import msgspec

from frag.durable import sync_folder, write_private
from frag.errors import IndexStoreError
from retrievers.database import DATABASE_NAME, connect, index_errors, prepare
from retrievers.qdrant.growth import forget

_POINTER = "live.json"
CHANGE_LOCK = "change.lock"
"""Held by many who write to the indices, or by the one who changes over."""

_PREFIX = "e-"
_FolderName = Annotated[str, msgspec.Meta(pattern=r"^e-[0-9a-f]{16}$")]


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched now.

    `model` is the embedder as settings name it, `fingerprint` what it was then; `asked_for` what the settings named
    when it was chosen. `folders` by collection, where the index is not in the collection's own.
    """

    model: str
    fingerprint: str
    asked_for: str
    folders: dict[str, _FolderName] = {}

    def wanted(self, configured: str) -> str:
        """The embedder that is wanted: that of the settings when they have changed since, else what was chosen."""
        return self.model if configured == self.asked_for else configured


def read_live(index_folder: Path) -> Live | None:
    """What is searched; None before anything was noted. Raises IndexStoreError when the file is damaged."""
    file = index_folder / _POINTER
    try:
        return msgspec.json.decode(file.read_bytes(), type=Live)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise IndexStoreError(
            f"{file} cannot be read: it names the indices that are searched.",
            "Move the whole folder away and run `frag node ingest`; the documents are read again.",
        ) from error


def write_live(index_folder: Path, live: Live) -> None:
    """Makes it so, durably and at once."""
    write_private(index_folder / _POINTER, msgspec.json.encode(live))


def folder_of(index_folder: Path, collection: str, live: Live | None = None) -> Path:
    """The folder of the index that is searched. `live` is read when it is not given. Raises IndexStoreError."""
    live = live or read_live(index_folder)
    inside = live.folders.get(collection, "") if live else ""
    return index_folder / collection / inside


def folder_name(fingerprint: str) -> str:
    """Of an index by this embedder, inside the collection's folder."""
    return _PREFIX + hashlib.sha256(fingerprint.encode()).hexdigest()[:16]


def coming_folders(index_folder: Path, collection: str) -> list[Path]:
    """Indices inside the collection's folder that are not searched: what is being made, or was given up."""
    live = folder_of(index_folder, collection)
    return [path for path in sorted((index_folder / collection).glob(f"{_PREFIX}*")) if path != live and path.is_dir()]


def sweep(index_folder: Path, collection: str, keep: str | None = "") -> None:
    """Removes the files of indices that nobody searches, but for the folder `keep`; None: all that are to come."""
    live = folder_of(index_folder, collection)
    for path in coming_folders(index_folder, collection):
        if keep is not None and path.name != keep:
            forget(path)
            shutil.rmtree(path)
    top = index_folder / collection
    if live == top or not top.is_dir():
        return
    forget(top)
    for path in top.iterdir():
        if path.is_dir() and path.name.startswith(_PREFIX):
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    sync_folder(top)


def is_there(folder: Path) -> bool:
    """Whether there is an index in `folder`."""
    return (folder / DATABASE_NAME).exists()


def fingerprint_of(folder: Path) -> str:
    """Of the embedder whose vectors are in the collection of `folder`, without one; empty if there are none.

    Raises:
        IndexStoreError: The index is damaged, of a later version, or of another program.
    """
    if not is_there(folder):
        return ""
    path = prepare(folder)
    with index_errors(path), closing(connect(path, read_only=True)) as connection:
        found = connection.execute(
            "SELECT fingerprint FROM collection JOIN embedders USING (embedder_key) WHERE num_chunks"
        )
        row = found.fetchone()
    return str(row[0]) if row else ""
