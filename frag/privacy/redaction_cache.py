"""Remembers where the personal data of a passage are, so that each passage is searched once and not once a question.

Kept are places and types, never text; a passage is known by a keyed hash. What another redactor found is forgotten.
"""

import hmac
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

import msgspec

from frag.privacy.redaction import Span
from frag.protocols import Redactor

_SCHEMA_VERSION = 1
_WAIT_S = 30.0
_PER_QUERY = 500
_SCHEMA = """
    DROP TABLE IF EXISTS redactor;
    DROP TABLE IF EXISTS spans;
    CREATE TABLE redactor (fingerprint TEXT NOT NULL, salt BLOB NOT NULL);
    CREATE TABLE spans (passage_key BLOB NOT NULL PRIMARY KEY, found BLOB NOT NULL) WITHOUT ROWID;
"""


class RedactionCache:
    """Implements `frag.protocols.Redactor`. Thread-safe.

    It is derived: a file that is damaged or of another redactor is made anew.

    Args:
        connection: To a file that only this object uses.
        redactor: What searches where nothing is remembered.
        salt: Key of the hashes.
    """

    def __init__(self, connection: sqlite3.Connection, redactor: Redactor, salt: bytes) -> None:
        self._connection = connection
        self._redactor = redactor
        self._salt = salt
        self._lock = threading.Lock()

    @classmethod
    def open(cls, file: Path, redactor: Redactor, fingerprint: str) -> Self:
        """Opens or makes the file; `fingerprint` names the redactor with everything that its findings depend on."""
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            return cls._opened(file, redactor, fingerprint)
        except sqlite3.DatabaseError:
            for part in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
                part.unlink(missing_ok=True)
            return cls._opened(file, redactor, fingerprint)

    @classmethod
    def _opened(cls, file: Path, redactor: Redactor, fingerprint: str) -> Self:
        connection = sqlite3.connect(file, timeout=_WAIT_S, check_same_thread=False, isolation_level=None)
        try:
            # what a power cut takes away is searched again
            connection.executescript(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = ON;"
            )
            if connection.execute("PRAGMA user_version").fetchone()[0] == _SCHEMA_VERSION:
                row = connection.execute("SELECT fingerprint, salt FROM redactor").fetchone()
                if row is not None and row[0] == fingerprint:
                    return cls(connection, redactor, row[1])
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;")
            connection.execute("INSERT INTO redactor VALUES (?, randomblob(32))", (fingerprint,))
            return cls(connection, redactor, connection.execute("SELECT salt FROM redactor").fetchone()[0])
        except BaseException:
            connection.close()
            raise

    def __repr__(self) -> str:
        return f"RedactionCache({len(self)} passages)"

    def __len__(self) -> int:
        with self._lock:
            return int(self._connection.execute("SELECT count(*) FROM spans").fetchone()[0])

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def find(self, text: str) -> list[Span]:
        """What the redactor finds, remembered from now on."""
        key = self._key(text)
        with self._lock:
            row = self._connection.execute("SELECT found FROM spans WHERE passage_key = ?", (key,)).fetchone()
        if row is not None:
            return msgspec.msgpack.decode(row[0], type=list[Span])
        found = self._redactor.find(text)
        with self._lock:
            self._connection.execute("INSERT OR REPLACE INTO spans VALUES (?, ?)", (key, msgspec.msgpack.encode(found)))
        return found

    def missing(self, texts: Sequence[str]) -> list[str]:
        """Those of the texts that nothing is remembered of."""
        keys = [self._key(text) for text in texts]
        parts = [keys[start : start + _PER_QUERY] for start in range(0, len(keys), _PER_QUERY)]
        known = {key for part in parts for key in self._known(part)}
        return [text for text, key in zip(texts, keys, strict=True) if key not in known]

    def keep_only(self, texts: Iterable[str]) -> int:
        """Forgets every other passage; returns how many."""
        with self._lock, self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("CREATE TEMP TABLE kept (passage_key BLOB NOT NULL PRIMARY KEY)")
            self._connection.executemany(
                "INSERT OR IGNORE INTO kept VALUES (?)", ((self._key(text),) for text in texts)
            )
            gone = self._connection.execute("DELETE FROM spans WHERE passage_key NOT IN kept").rowcount
            self._connection.execute("DROP TABLE kept")
            return gone

    def forget(self, texts: Iterable[str]) -> None:
        """Forgets some passages; one that is found again is searched again."""
        with self._lock:
            self._connection.executemany(
                "DELETE FROM spans WHERE passage_key = ?", [(self._key(text),) for text in texts]
            )

    def _known(self, keys: Sequence[bytes]) -> Iterator[bytes]:
        marks = ", ".join("?" * len(keys))
        with self._lock:
            rows = self._connection.execute(f"SELECT passage_key FROM spans WHERE passage_key IN ({marks})", keys)  # noqa: S608
            found = rows.fetchall()
        return (row[0] for row in found)

    def _key(self, text: str) -> bytes:
        return hmac.digest(self._salt, text.encode("utf-8", "surrogatepass"), "sha256")[:16]
