"""The questions that this node answered lately, which feedback is joined with. Kept for some days, here alone."""

import hashlib
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import msgspec

from frag.errors import FeedbackExpiredError, NotFoundError
from server.node.feedback.tables import connect

MAX_ENTRIES = 1_000_000
_DAY_S = 86_400
_KNOWN_DAYS = 90
"""How long after its question is gone an id is still known, so that late feedback is told why it comes to nothing."""


class Passage(msgspec.Struct, frozen=True, array_like=True):
    """Which passage was shown to the model: its document, and 32 hex digits of its text's SHA-256.

    Numbers of passages would not do: a change of embedder gives new ones.
    """

    collection: str
    document_id: str
    digest: str


def digest_of(text: str) -> str:
    """What names a passage among those of its document."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Asked(NamedTuple):
    """A question as it is kept. `asker` is the key (Ed25519) of whoever asked it sealed, else empty."""

    question: str
    passages: tuple[Passage, ...]
    prompt_version: str
    asker: bytes

    def __repr__(self) -> str:
        return f"Asked({len(self.question)} chars, {len(self.passages)} passages)"


class Questions:
    """Blocking; thread-safe. A question outlives the process; not always a power failure.

    Args:
        path: Of the node's feedback.
        keep_days: How long each is kept.
        clock: Unix seconds.
        max_entries: Of questions and ids, after a sweep; the oldest go first.
    """

    def __init__(
        self,
        path: Path,
        keep_days: float,
        clock: Callable[[], float] = time.time,
        max_entries: int = MAX_ENTRIES,
    ) -> None:
        self._max_entries = max_entries
        self._connection = connect(path, durable=False)
        self._keep_s = keep_days * _DAY_S
        self._clock = clock
        self._lock = Lock()

    def remember(self, query_id: bytes, asked: Asked) -> None:
        """Keeps a question under its id; the first of an id stays."""
        passages = msgspec.json.encode(asked.passages).decode()
        row = (query_id, int(self._clock()), asked.question, passages, asked.prompt_version, asked.asker)
        with self._lock:
            self._connection.execute("INSERT OR IGNORE INTO questions VALUES (?, ?, ?, ?, ?, ?)", row)

    def recall(self, query_id: bytes) -> Asked:
        """The question of an id.

        Raises:
            NotFoundError: This node did not answer it.
            FeedbackExpiredError: It was kept long enough.
        """
        with self._lock:
            row = self._connection.execute(
                "SELECT asked_at, question, passages, prompt_version, asker FROM questions WHERE query_id = ?",
                (query_id,),
            ).fetchone()
        if row is None:
            raise NotFoundError("No such question was answered here.", "Use the query_id of an answer.")
        asked_at, question, passages, version, asker = row
        if not question or asked_at + self._keep_s <= self._clock():
            raise FeedbackExpiredError("The question is no longer kept.", "Ask it again, and say it of the new answer.")
        return Asked(question, msgspec.json.decode(passages, type=tuple[Passage, ...]), version, asker)

    def sweep(self) -> int:
        """Overwrites the questions that were kept long enough, and forgets ids that are older still; says how many."""
        now = self._clock()
        with self._lock:
            gone = self._connection.execute(
                "UPDATE questions SET question = '', passages = '[]', asker = x''"
                " WHERE asked_at <= ? AND question != ''",
                (now - self._keep_s,),
            ).rowcount
            self._connection.execute(
                "DELETE FROM questions WHERE asked_at <= ?", (now - self._keep_s - _KNOWN_DAYS * _DAY_S,)
            )
            self._connection.execute(
                "DELETE FROM questions WHERE asked_at <="
                " (SELECT asked_at FROM questions ORDER BY asked_at DESC LIMIT 1 OFFSET ?)",
                (self._max_entries,),
            )
            if gone:
                _empty_log(self._connection)
        return gone

    def close(self) -> None:
        self._connection.close()


def _empty_log(connection: sqlite3.Connection) -> None:
    """The log would else hold the text until it is written over."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
