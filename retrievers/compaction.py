"""Rewrites the files of a collection without anything that was deleted from it.

Deleted rows are overwritten when they are deleted (`secure_delete`), but not what SQLite has meanwhile moved, and not
what the write-ahead log still holds while somebody reads. `VACUUM` writes every page anew; then the log is emptied.
Sealed segments keep a compressed copy of a deleted vector, which no search can find, until they are rewritten here.
What a Qdrant server holds is deleted there; when it rewrites its own files is up to it.
"""

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from frag.errors import IndexStoreError
from retrievers.database import connect, index_errors, prepare, transaction
from retrievers.lexical_index import erase_deleted_words
from retrievers.locking import exclusive
from retrievers.segments.choosing import growth_of
from retrievers.segments.growth import growth_lock
from retrievers.segments.manifest import SEGMENTS_FOLDER

DEFAULT_WAIT_S = 60.0
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction:
    """Bytes of the index on the disk, before and after."""

    bytes_before: int
    bytes_after: int


def compact_folder(folder: str | Path, wait_s: float = DEFAULT_WAIT_S) -> Compaction:
    """Compacts the collection in `folder`, without an embedder. Searches go on meanwhile.

    Raises:
        IndexStoreError: The index cannot be written, or somebody reads from it for longer than `wait_s` seconds.
        NotReadyError: An ingest runs for longer than that.
    """
    path = prepare(Path(folder))
    with (
        index_errors(path),
        closing(connect(path)) as connection,
        exclusive(path.with_name("ingest.lock"), wait_s),  # an ingest counts on embeddings that are dropped here
    ):
        before = _num_bytes(path)
        with transaction(connection):
            erase_deleted_words(connection)
            connection.execute(
                "DELETE FROM embeddings WHERE NOT EXISTS ("
                " SELECT 1 FROM chunks WHERE chunks.embedding_id = embeddings.embedding_id)"
            )
        with growth_lock(path.parent, wait_s):
            growth_of(connection, path.parent, _commit).purge()
        connection.execute("VACUUM")
        _empty_log(connection, path, wait_s)
        return Compaction(bytes_before=before, bytes_after=_num_bytes(path))


def _commit(connection: sqlite3.Connection) -> None:
    connection.execute("COMMIT")


def _empty_log(connection: sqlite3.Connection, path: Path, wait_s: float) -> None:
    until = time.monotonic() + wait_s
    connection.execute(f"PRAGMA busy_timeout={int(1000 * _LOOK_S)}")
    while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() >= until:
            raise IndexStoreError(
                f"The log of {path} still holds deleted text: another process has been reading for {wait_s:g} s.",
                "Run `frag node compact` again when it is done.",
            )
        time.sleep(_LOOK_S)  # until readers let go; callers are in worker threads


def _num_bytes(path: Path) -> int:
    files = (path, path.with_name(f"{path.name}-wal"), *path.with_name(SEGMENTS_FOLDER).glob("*"))
    return sum(file.stat().st_size for file in files if file.exists())
