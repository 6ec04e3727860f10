"""The release journal: what left this node, when, in which mode and at what price. Never a word of it.

Texts stand as keyed hashes, so that the operator can tell whether a known text left and nobody else can. Every entry
holds the hash of the one before: changing or removing one in the middle shows. Blocking; for threads and processes.
"""

import hashlib
import hmac
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

import msgspec

from frag.errors import NotReadyError

_APPLICATION_ID = 0x6672616A  # "fraj"
_WRITE_TIMEOUT_S = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS salt (value BLOB NOT NULL);
INSERT INTO salt SELECT randomblob(32) WHERE NOT EXISTS (SELECT 1 FROM salt);
CREATE TABLE IF NOT EXISTS entries (
  entry_id INTEGER PRIMARY KEY AUTOINCREMENT,
  at TEXT NOT NULL,
  body BLOB NOT NULL,
  entry_hash BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS entries_by_time ON entries (at);
"""

Kind = Literal["answer", "sources", "withheld", "votes", "profile", "training", "upload", "stopped", "resumed"]
"""`sources` are citations without a text; `training` numbers of a round, `upload` its weights, masked or not."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that left. `epsilon` and `delta` bound what it is part of; `rho` is what each unit was charged."""

    kind: Kind
    mode: str = ""
    channel: Literal["open", "sealed"] = "open"
    question_hash: str = ""
    content_hash: str = ""
    num_chars: int = 0
    num_bytes: int = 0
    num_citations: int = 0
    num_redactions: int = 0
    reason: str = ""
    prompt_version: str = ""
    job: str = ""
    round: int = 0
    epsilon: float | None = None
    delta: float = 0.0
    rho: float = 0.0


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """An entry in its place. `at` is ISO 8601 in UTC."""

    entry_id: int
    at: str
    entry: Entry
    entry_hash: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the chain holds; `head` is the last hash, which the operator can note down elsewhere."""

    num_entries: int
    broken_at: int | None
    head: str


class Journal:
    """One file of one node.

    Args:
        connection: To a database with the schema; see `open`.
        reader: Another one, so that adding up a long day holds no answer back.
    """

    def __init__(self, connection: sqlite3.Connection, reader: sqlite3.Connection | None = None) -> None:
        self._connection = connection
        self._turn = threading.Lock()
        self._reader = connection if reader is None else reader
        self._reading = self._turn if reader is None else threading.Lock()
        (self._salt,) = connection.execute("SELECT value FROM salt").fetchone()

    @classmethod
    def open(cls, path: Path, keep_days: int = 0) -> Self:
        """Opens or makes it, and drops what is older than `keep_days` (0: nothing).

        Raises:
            NotReadyError: It cannot be used; then nothing may leave.
        """
        try:
            path.touch(mode=0o600)
            connection = sqlite3.connect(path, timeout=_WRITE_TIMEOUT_S, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA application_id = {_APPLICATION_ID}; COMMIT;")
            if keep_days:
                connection.execute(
                    "DELETE FROM entries WHERE at < strftime('%Y-%m-%d', 'now', ?)", (f"-{keep_days} days",)
                )
            return cls(connection, sqlite3.connect(path, isolation_level=None, check_same_thread=False))
        except (sqlite3.Error, OSError, TypeError) as error:
            raise NotReadyError(
                f"The release journal {path} cannot be used: {error}.",
                "Check the disk; if the file is damaged, move it away and keep it.",
            ) from error

    def append(self, entries: Sequence[Entry]) -> None:
        """Durable when it returns: all of them, or none. Raises NotReadyError; then nothing may leave."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._turn, self._transaction() as connection:
            row = connection.execute("SELECT entry_hash FROM entries ORDER BY entry_id DESC LIMIT 1").fetchone()
            previous = row[0] if row else bytes(32)
            for entry in entries:
                body = msgspec.json.encode(entry)
                previous = chain_hash(previous, at, body)
                connection.execute("INSERT INTO entries (at, body, entry_hash) VALUES (?, ?, ?)", (at, body, previous))

    def hash_of(self, content: str | bytes) -> str:
        """The keyed hash that stands for a text, 32 hex digits."""
        raw = content.encode() if isinstance(content, str) else content
        return hmac.digest(self._salt, raw, "sha256").hex()[:32]

    def since(self, at: str, after: int = 0) -> Iterator[tuple[int, Entry]]:
        """Entries and their ids from the time `at` on (ISO 8601 in UTC) and after the id `after`, oldest first."""
        rows = self._rows(
            "SELECT entry_id, body FROM entries WHERE at >= ? AND entry_id > ? ORDER BY entry_id", at, after
        )
        for entry_id, body in rows:
            yield entry_id, msgspec.json.decode(body, type=Entry)

    def newest(self, number: int) -> list[Written]:
        """The last entries, newest first."""
        rows = self._rows("SELECT entry_id, at, body, entry_hash FROM entries ORDER BY entry_id DESC LIMIT ?", number)
        return [
            Written(entry_id=entry_id, at=at, entry=msgspec.json.decode(body, type=Entry), entry_hash=entry_hash.hex())
            for entry_id, at, body, entry_hash in rows
        ]

    def verify(self) -> Verdict:
        """Recomputes the chain from the first entry that is kept."""
        previous: bytes | None = None
        number, broken_at = 0, None
        for entry_id, at, body, entry_hash in self._rows(
            "SELECT entry_id, at, body, entry_hash FROM entries ORDER BY entry_id"
        ):
            before = bytes(32) if entry_id == 1 else previous
            if before is not None and chain_hash(before, at, body) != entry_hash:
                broken_at = broken_at or entry_id
            previous = entry_hash
            number += 1
        return Verdict(num_entries=number, broken_at=broken_at, head=previous.hex() if previous else "")

    def close(self) -> None:
        """What was appended is on disk already."""
        self._connection.close()
        self._reader.close()

    def _rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with self._reading:
            return self._reader.execute(query, parameters).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise NotReadyError(f"The release journal could not be written: {error}.", "Check the disk.") from error


def chain_hash(previous: bytes, at: str, body: bytes) -> bytes:
    """SHA-256 over the entry before and this one, 32 bytes."""
    return hashlib.sha256(previous + at.encode() + b"\0" + body).digest()
