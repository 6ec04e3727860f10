"""Opens the one SQLite database of a collection, brings its schema up to date, names what is wrong with it.

WAL lets searches read while an ingest writes; `synchronous=FULL` makes every commit durable; `secure_delete`
overwrites deleted text. Knows the tables, not what they are used for.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from frag.errors import IndexStoreError
from retrievers.lexical_index import LEXICAL_SCHEMA
from retrievers.segments.manifest import MANIFEST_SCHEMA, WISH_SCHEMA

DATABASE_NAME = "index.db"

_APPLICATION_ID = 0x66726167  # "frag"
_WRITE_TIMEOUT_S = 60.0
_SCRUB_TIMEOUT_S = 1.0
_READER_CACHE_KIB = 2_000
_WRITER_CACHE_KIB = 64_000
"""Embeddings are found by the hash of their text, in random order: a small cache would write each page many times."""

_CREATING = threading.Lock()

_FIRST_SCHEMA = """
CREATE TABLE embedders (
  embedder_key INTEGER PRIMARY KEY,
  fingerprint TEXT NOT NULL UNIQUE
);
-- vectors of published chunks, and those of an interrupted ingest, which its next run finds here
CREATE TABLE embeddings (
  embedding_id INTEGER PRIMARY KEY,
  embedder_key INTEGER NOT NULL REFERENCES embedders,
  text_sha256 BLOB NOT NULL,
  vector BLOB NOT NULL,
  UNIQUE (text_sha256, embedder_key)
);
CREATE TABLE documents (
  document_id TEXT PRIMARY KEY,
  content_sha256 BLOB NOT NULL,
  title TEXT NOT NULL,
  num_chars INTEGER NOT NULL,
  num_chunks INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE chunks (
  chunk_id INTEGER PRIMARY KEY AUTOINCREMENT,
  document_id TEXT NOT NULL REFERENCES documents,
  start_char INTEGER NOT NULL,
  end_char INTEGER NOT NULL,
  embedding_id INTEGER NOT NULL REFERENCES embeddings,
  text TEXT NOT NULL
);
CREATE INDEX chunks_by_document ON chunks (document_id);
CREATE INDEX chunks_by_embedding ON chunks (embedding_id);
-- with ascending chunk ids this is the change log: other processes catch up from where they stand
CREATE TABLE removals (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  chunk_id INTEGER NOT NULL
);
-- revision grows with every publication; generation when the log does not tell all and readers load anew
CREATE TABLE collection (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  embedder_key INTEGER REFERENCES embedders,
  revision INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  num_chunks INTEGER NOT NULL
);
INSERT INTO collection VALUES (1, NULL, 0, 0, 0);
"""

MIGRATIONS: tuple[str, ...] = (f"{_FIRST_SCHEMA}\n{LEXICAL_SCHEMA}", MANIFEST_SCHEMA, WISH_SCHEMA)
"""One script a version; a released one is never edited."""


@contextmanager
def index_errors(path: Path) -> Iterator[None]:
    """Turns what SQLite raises about the database at `path` into an IndexStoreError that says what to do."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise IndexStoreError(f"The index {path} cannot be used: {error}.", _mend(error)) from error
    except sqlite3.DatabaseError as error:
        raise IndexStoreError(
            f"The index {path} is damaged or is not an index: {error}.",
            "Move it away and run `frag node ingest`; the documents are read again.",
        ) from error


def _mend(error: sqlite3.OperationalError) -> str:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return {
        sqlite3.SQLITE_BUSY: "Another process is writing to it; try again when that is done.",
        sqlite3.SQLITE_FULL: "Free some disk space and run it again; what was embedded is kept.",
        sqlite3.SQLITE_CANTOPEN: "Check that the folder exists and may be written to.",
        sqlite3.SQLITE_READONLY: "Check that the folder and its files may be written to.",
    }.get(code, "Check the disk; if it is sound, move the index away and run `frag node ingest`.")


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection that any one thread at a time may use, with transactions begun and ended by hand."""
    connection = sqlite3.connect(
        path, timeout=_WRITE_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=64
    )
    try:
        for pragma in (
            "synchronous=FULL",
            "secure_delete=ON",
            "foreign_keys=ON",
            f"query_only={int(read_only)}",
            f"cache_size=-{_READER_CACHE_KIB if read_only else _WRITER_CACHE_KIB}",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def prepare(folder: Path) -> Path:
    """Makes the database in `folder` ready for this version of frag and returns its path.

    A folder or file that it creates is for its owner only, since chunks are document text.

    Raises:
        IndexStoreError: The file is no index, is damaged, was written by a later frag, or cannot be opened.
    """
    path = folder / DATABASE_NAME
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _create(path)
    except OSError as error:
        raise IndexStoreError(
            f"The index {path} cannot be opened: {error.strerror}.", "Check the folder and its permissions."
        ) from error
    with index_errors(path), closing(connect(path)) as connection:
        _check_owner(connection, path)
        connection.execute("PRAGMA journal_mode=WAL")
        migrate(connection, path)
    return path


def _create(path: Path) -> None:
    """An empty file is a database. One that is there is not opened here: closing it would drop every lock that SQLite
    holds on it anywhere in this process (fcntl locks belong to the process), and others would think nobody reads it.
    """
    with _CREATING:
        if not path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _check_owner(connection: sqlite3.Connection, path: Path) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (num_tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if num_tables and application_id != _APPLICATION_ID:
        raise IndexStoreError(f"{path} is a database of another program.", "Choose another folder for the index.")


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Runs those `migrations` that `PRAGMA user_version` has not counted yet, in one transaction.

    Raises:
        IndexStoreError: The database has seen more migrations than there are here.
    """
    if _version(connection) == len(migrations):
        return
    with transaction(connection):
        version = _version(connection)
        if version > len(migrations):
            raise IndexStoreError(
                f"The index {path} has format {version}; this frag knows up to {len(migrations)}.",
                "Update frag, or move the index away and run `frag node ingest`.",
            )
        for script in migrations[version:]:
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={len(migrations)}")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _statements(script: str) -> Iterator[str]:
    """`executescript` would commit the transaction first."""
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """Commits what the block did, unless it has done so itself, or nothing of it."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        if connection.in_transaction:
            connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def scrub_log(connection: sqlite3.Connection) -> None:
    """Empties the write-ahead log, which still holds deleted text; waits for readers a second at most."""
    connection.execute(f"PRAGMA busy_timeout={int(1000 * _SCRUB_TIMEOUT_S)}")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    connection.execute(f"PRAGMA busy_timeout={int(1000 * _WRITE_TIMEOUT_S)}")


def other_embedder_error() -> IndexStoreError:
    """The vectors at hand and those in the database come from different models and must not be compared."""
    return IndexStoreError(
        "The index was made with another embedder.",
        "Embed the documents again with `frag node reembed`, or with `frag node ingest --rebuild`.",
    )
