"""Sealed questions that were answered already, on disk: each is answered once, also after a restart."""

import hashlib
import sqlite3
from pathlib import Path
from threading import Lock
from typing import Self

from frag.errors import SealingError, SettingsError

MAX_ENTRIES = 100_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS seen (name BLOB PRIMARY KEY, expires_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_expiry ON seen (expires_at);
CREATE TABLE IF NOT EXISTS forgotten (until INTEGER NOT NULL);
"""


class ReplayCache:
    """Remembers a question until it expires. Blocking; thread-safe. Full, it refuses instead of forgetting."""

    def __init__(self, connection: sqlite3.Connection, max_entries: int = MAX_ENTRIES) -> None:
        self._connection = connection
        self._max_entries = max_entries
        self._lock = Lock()

    @classmethod
    def open(cls, path: Path, max_entries: int = MAX_ENTRIES) -> Self:
        """Raises SettingsError when the file cannot be used."""
        try:
            connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
            path.chmod(0o600)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise SettingsError(
                f"The replay cache {path} cannot be used: {error}.", "Check disk and rights."
            ) from error
        return cls(connection, max_entries)

    def admit(self, asker: bytes, request_id: bytes, expires_at: int, now: int) -> None:
        """Notes a question durably before it is answered.

        Raises:
            SealingError: It was seen before, has expired, or there is no room to remember it.
        """
        name = hashlib.sha256(asker + request_id).digest()
        try:
            with self._lock, self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                self._check_expiry(expires_at, self._forget(now))
                (held,) = self._connection.execute("SELECT count(*) FROM seen").fetchone()
                if held >= self._max_entries:
                    raise SealingError("Too many sealed questions are under way.", code="busy")
                self._connection.execute("INSERT INTO seen VALUES (?, ?)", (name, expires_at))
        except sqlite3.IntegrityError as error:
            raise SealingError("A sealed question was sent twice.", code="replayed") from error
        except sqlite3.Error as error:
            raise SealingError("Sealed questions cannot be remembered now.", code="busy") from error

    def _forget(self, now: int) -> int:
        """Drops what has expired; returns the moment that the newest dropping reached.

        Should the clock be set back, what was dropped then stays refused.
        """
        row = self._connection.execute("SELECT until FROM forgotten").fetchone()
        until = max(row[0] if row else 0, now)
        if row is None:
            self._connection.execute("INSERT INTO forgotten VALUES (?)", (until,))
        elif until > row[0]:
            self._connection.execute("UPDATE forgotten SET until = ?", (until,))
            self._connection.execute("DELETE FROM seen WHERE expires_at <= ?", (until,))
        return until

    @staticmethod
    def _check_expiry(expires_at: int, until: int) -> None:
        if expires_at <= until:
            raise SealingError("A sealed question has expired.", code="expired")

    def close(self) -> None:
        self._connection.close()
