"""The file of feedback: how it is opened, and how an older one is brought up to date."""

import sqlite3
from pathlib import Path

from frag.errors import SettingsError

_MIGRATIONS = (
    """
    CREATE TABLE questions (
        query_id BLOB PRIMARY KEY, asked_at INTEGER NOT NULL, question TEXT NOT NULL, passages TEXT NOT NULL,
        prompt_version TEXT NOT NULL, asker BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX questions_by_time ON questions (asked_at);
    CREATE INDEX questions_kept ON questions (asked_at) WHERE question != '';
    CREATE TABLE remarks (
        remark_id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, query_id BLOB NOT NULL, key BLOB NOT NULL,
        rating INTEGER NOT NULL, prompt_version TEXT NOT NULL, question TEXT NOT NULL, correction TEXT NOT NULL,
        passages TEXT NOT NULL, same BLOB NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, example_id TEXT NOT NULL,
        UNIQUE (query_id, key)
    );
    CREATE INDEX remarks_by_key ON remarks (key, at);
    CREATE INDEX remarks_by_state ON remarks (state, same);
    CREATE TABLE envelopes (digest BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
    """,
    "ALTER TABLE remarks ADD COLUMN times INTEGER NOT NULL DEFAULT 1",
)
"""Each leads from one version of the file to the next; those that were released are never changed."""


def connect(path: Path, *, durable: bool) -> sqlite3.Connection:
    """A connection for several threads, which take turns. What is deleted is overwritten.

    Args:
        path: Made if it is not there.
        durable: Whether a transaction survives a power failure, or only the death of the process.

    Raises:
        SettingsError: The file cannot be used, or is of a later version.
    """
    try:
        connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        path.chmod(0o600)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        connection.execute("PRAGMA secure_delete = ON")
        _migrate(connection, path)
    except (sqlite3.Error, OSError) as error:
        raise SettingsError(f"The feedback in {path} cannot be used: {error}.", "Check disk and rights.") from error
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for script in _MIGRATIONS[_version(connection, path) :]:
            for statement in script.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection, path: Path) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(_MIGRATIONS):
        raise SettingsError(f"{path} was written by a later frag.", "Install that version, or move the file away.")
    return int(version)
