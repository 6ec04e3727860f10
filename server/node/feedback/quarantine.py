"""Feedback until the node's policy decides: durable, bounded by API key, and without text once it is decided."""

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Literal

import msgspec

from frag.errors import ConflictError, FragError, NotReadyError, RateLimitedError, SealingError
from frag.feedback import MAX_AGE_S, Remark
from frag.feedback_settings import FeedbackSettings
from server.node.feedback.questions import Asked, Passage
from server.node.feedback.tables import connect

State = Literal["noted", "pending", "accepted", "rejected"]
MAX_PENDING = 10_000
_DAY_S = 86_400
_REMEMBERED_DAYS = 90
_COLUMNS = (
    "remark_id, at, query_id, key, rating, prompt_version, question, correction, passages, state, reason, example_id"
)


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of feedback. Text is there while it is pending; `key` is the pseudonym of an API key."""

    remark_id: int
    at: int
    query_id: str
    key: str
    rating: int
    prompt_version: str
    question: str
    correction: str
    passages: tuple[Passage, ...]
    state: State
    reason: str
    example_id: str

    def __repr__(self) -> str:
        return f"Held({self.remark_id}, {self.state})"


class Quarantine:
    """Blocking; thread-safe. What `add` returned from survives `kill -9`.

    Args:
        path: Of the node's feedback.
        settings: Its bounds.
        clock: Unix seconds.
    """

    def __init__(self, path: Path, settings: FeedbackSettings, clock: Callable[[], float] = time.time) -> None:
        self._connection = connect(path, durable=True)
        self._settings = settings
        self._clock = clock
        self._lock = Lock()

    def add(self, query_id: bytes, key: bytes, envelope: bytes, asked: Asked, remark: Remark) -> None:
        """Keeps feedback durably. Of one key on one question the last word counts, until it is decided.

        Raises:
            RateLimitedError: The key has said enough for a day.
            NotReadyError: Too much waits here already, or the disk refuses.
            ConflictError: What this key said of this question was decided.
            SealingError: The envelope was sent before.
        """
        now = int(self._clock())
        with self._transaction() as connection:
            self._admit(connection, key, now, waits=bool(remark.correction.strip()))
            digest = hashlib.sha256(envelope).digest()
            if connection.execute("INSERT OR IGNORE INTO envelopes VALUES (?, ?)", (digest, now)).rowcount == 0:
                raise SealingError("This feedback was sent twice.", code="replayed")
            correction = remark.correction.strip()
            question = asked.question if correction else ""
            passages = msgspec.json.encode(asked.passages if correction else ()).decode()
            state = "pending" if correction else "noted"
            same = _same(question, correction) if correction else b""
            row = (now, query_id, key, remark.rating, asked.prompt_version, question, correction, passages, same, state)
            taken = connection.execute(
                "INSERT INTO remarks (at, query_id, key, rating, prompt_version, question, correction, passages, same,"
                " state, reason, example_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', '') ON CONFLICT (query_id, key)"
                " DO UPDATE SET at = excluded.at, rating = excluded.rating, question = excluded.question,"
                " correction = excluded.correction, passages = excluded.passages, same = excluded.same,"
                " state = excluded.state, times = times + 1 WHERE state IN ('noted', 'pending')",
                row,
            )
            if taken.rowcount == 0:
                raise ConflictError("What was said of this question is decided already.", "Ask it again.")

    def _admit(self, connection: sqlite3.Connection, key: bytes, now: int, *, waits: bool) -> None:
        (today,) = connection.execute(
            "SELECT coalesce(sum(times), 0) FROM remarks WHERE key = ? AND at > ?", (key, now - _DAY_S)
        ).fetchone()
        if today >= self._settings.per_key_per_day:
            raise RateLimitedError("This key has given enough feedback for a day.", "Go on tomorrow.")
        (waiting,) = connection.execute("SELECT count(*) FROM remarks WHERE state = 'pending'").fetchone()
        if waits and waiting >= MAX_PENDING:
            raise NotReadyError("Too much feedback waits here.", "The node's operator decides on it.")

    def held(self, state: State | None = None, key: str = "", limit: int = 1000) -> list[Held]:
        """Feedback by state and key, newest first."""
        return self._rows(
            f"SELECT {_COLUMNS} FROM remarks WHERE (?1 IS NULL OR state = ?1) AND (?2 = '' OR hex(key) = upper(?2))"  # noqa: S608 - a constant
            " ORDER BY remark_id DESC LIMIT ?3",
            state,
            key,
            limit,
        )

    def named(self, ids: Sequence[int]) -> list[Held]:
        """Those of some numbers that there are, oldest first."""
        wanted = msgspec.json.encode(list(ids)).decode()
        return self._rows(
            f"SELECT {_COLUMNS} FROM remarks WHERE remark_id IN (SELECT value FROM json_each(?)) ORDER BY remark_id",  # noqa: S608 - a constant
            wanted,
        )

    def agreeing(self, num_keys: int) -> list[list[Held]]:
        """Pending corrections that `num_keys` keys make alike, a list for each."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT same FROM remarks WHERE state = 'pending' GROUP BY same HAVING count(DISTINCT key) >= ?",
                (num_keys,),
            ).fetchall()
        return [
            self._rows(
                f"SELECT {_COLUMNS} FROM remarks WHERE state = 'pending' AND same = ? ORDER BY remark_id",  # noqa: S608 - a constant
                same,
            )
            for (same,) in found
        ]

    def num_accepted(self, key: str) -> int:
        """Corrections of a key that became examples."""
        with self._reading() as connection:
            (number,) = connection.execute(
                "SELECT count(*) FROM remarks WHERE key = ? AND state = 'accepted'", (bytes.fromhex(key),)
            ).fetchone()
        return int(number)

    def ratings(self) -> dict[str, dict[str, int]]:
        """How often answers of each prompt version were rated up, down and neither."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT prompt_version, sum(rating = 1), sum(rating = -1), sum(rating = 0) FROM remarks"
                " GROUP BY prompt_version ORDER BY prompt_version"
            ).fetchall()
        return {version: {"up": up, "down": down, "neither": neither} for version, up, down, neither in rows}

    def decide(
        self, ids: Sequence[int], state: Literal["accepted", "rejected"], reason: str = "", example: str = ""
    ) -> None:
        """Notes what became of feedback, and overwrites its text. Raises NotReadyError."""
        wanted = msgspec.json.encode(list(ids)).decode()
        with self._transaction() as connection:
            connection.execute(
                "UPDATE remarks SET state = ?, reason = ?, example_id = ?, question = '', correction = '',"
                " passages = '[]', same = x'' WHERE remark_id IN (SELECT value FROM json_each(?))",
                (state, reason, example, wanted),
            )
        self._empty_log()

    def sweep(self) -> int:
        """Rejects what has waited for too long, and forgets what was decided long ago; says how many."""
        now = self._clock()
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT remark_id FROM remarks WHERE state = 'pending' AND at <= ?",
                (now - self._settings.pending_days * _DAY_S,),
            ).fetchall()
        late = [number for (number,) in rows]
        if late:
            self.decide(late, "rejected", "expired")
        with self._transaction() as connection:
            connection.execute("DELETE FROM envelopes WHERE at <= ?", (now - 2 * MAX_AGE_S,))
            connection.execute(
                "DELETE FROM remarks WHERE state IN ('noted', 'rejected') AND at <= ?",
                (now - _REMEMBERED_DAYS * _DAY_S,),
            )
        return len(late)

    def close(self) -> None:
        self._connection.close()

    def _rows(self, query: str, *parameters: object) -> list[Held]:
        with self._reading() as connection:
            return [_held(row) for row in connection.execute(query, parameters).fetchall()]

    def _empty_log(self) -> None:
        """The log would else hold the text until it is written over."""
        with self._reading() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise _unusable(error) from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")


def _unusable(error: sqlite3.Error) -> FragError:
    return NotReadyError(f"Feedback cannot be kept or read now: {type(error).__name__}.", "Check the node's disk.")


def _held(row: tuple[object, ...]) -> Held:
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    values["query_id"], values["key"] = bytes(values["query_id"]).hex(), bytes(values["key"]).hex()  # type: ignore[call-overload]
    values["passages"] = msgspec.json.decode(str(values["passages"]))
    return msgspec.convert(values, Held)


def _same(question: str, correction: str) -> bytes:
    """Equal for corrections that say the same of the same question, but for case, spaces and the last full stop."""
    plain = "\0".join(" ".join(text.casefold().split()).rstrip(".!?… ") for text in (question, correction))
    return hashlib.sha256(plain.encode()).digest()
