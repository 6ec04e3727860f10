"""What each unit has spent, for ever: a zCDP filter for answers, and reservations of (ε, δ) for training.

A unit is charged durably before anything about it is used. If the process dies after that, the charge stands: a spend
may be wasted, never lost. Charges depend on nothing but the unit, the question's price and past charges.

Source: Rogers et al. 2016, "Privacy Odometers and Filters"; Feldman and Zrnic 2021, "Individual Privacy Accounting via
a Rényi Filter", §4, for budgets by unit.
"""

import hmac
import sqlite3
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from frag.errors import LedgerError
from frag.privacy.terms import UnitTerms, what_breaks

_APPLICATION_ID = 0x6672616C  # "fral"
_WRITE_TIMEOUT_S = 30.0
_MIGRATIONS = (
    """
    CREATE TABLE salt (value BLOB NOT NULL);
    INSERT INTO salt VALUES (randomblob(32));
    CREATE TABLE units (
      unit_key BLOB NOT NULL PRIMARY KEY,
      collection TEXT NOT NULL,
      rho REAL NOT NULL,
      num_answers INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE training (
      job_id TEXT NOT NULL,
      collection TEXT NOT NULL,
      epsilon REAL NOT NULL,
      delta REAL NOT NULL,
      reserved_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')),
      PRIMARY KEY (job_id, collection)
    ) WITHOUT ROWID;
    """,
    "CREATE TABLE queries (query_key BLOB NOT NULL PRIMARY KEY) WITHOUT ROWID;",
    """
    CREATE TABLE terms (
      collection TEXT NOT NULL,
      folder TEXT NOT NULL,
      unit TEXT NOT NULL,
      epsilon REAL NOT NULL,
      delta REAL NOT NULL,
      agreed_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
    );
    CREATE TABLE accepted (
      change TEXT NOT NULL,
      accepted_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
    );
    """,
)
"""Each brings the schema from its place in this list to the next."""
_TERMS = ("collection", "folder", "unit", "epsilon", "delta")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What the units of one collection have spent. `max_rho` is that of the unit that spent most."""

    collection: str
    num_units: int
    max_rho: float
    mean_rho: float
    num_answers: int
    training_epsilon: float
    training_delta: float


class Ledger:
    """One file of one node. Blocking; safe for threads and for several processes.

    Names of units must survive edits, re-indexing and deletion of what they stand for. They are kept as keyed
    hashes, and the key lies in the same file: neither can be lost without the other.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._turn = threading.Lock()
        (self._salt,) = connection.execute("SELECT value FROM salt").fetchone()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Opens or makes it. Raises LedgerError when it cannot be used; then nothing may be answered."""
        try:
            connection = sqlite3.connect(path, timeout=_WRITE_TIMEOUT_S, isolation_level=None, check_same_thread=False)
            path.chmod(0o600)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            _migrate(connection)
            return cls(connection)
        except (sqlite3.Error, OSError, TypeError) as error:
            raise LedgerError(f"The ledger {path} cannot be used: {error}.", "Restore it from a backup.") from error

    def charge(self, units: Mapping[str, str], rho: float, limit: float, query_id: str = "") -> list[str]:
        """Charges every unit that can pay, and returns their names: only they may take part in the answer.

        Durable when it returns. Each unit's spend stays at most `limit`, whatever collections it is found in.

        Args:
            units: The collection that each was found in, by name; kept for reports alone.
            rho: Of the answer.
            limit: ρ of a unit over its whole life.
            query_id: Of a question that may be answered once only; empty where that does not matter.

        Raises:
            LedgerError: The charge could not be made, or the question was charged before; nothing may be answered.
        """
        if not rho > 0:
            raise LedgerError(f"A charge of {rho} is none.")
        able = []
        with self._turn, self._transaction() as connection:
            if query_id:
                self._enter_once(connection, query_id)
            for unit in sorted(units):
                key = self._key(unit)
                row = connection.execute("SELECT rho FROM units WHERE unit_key = ?", (key,)).fetchone()
                if (row[0] if row else 0.0) + rho <= limit:
                    connection.execute(
                        "INSERT INTO units VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE "
                        "SET rho = rho + excluded.rho, num_answers = num_answers + 1",
                        (key, units[unit], rho),
                    )
                    able.append(unit)
        return able

    def _enter_once(self, connection: sqlite3.Connection, query_id: str) -> None:
        key = self._key(f"query:{query_id}")
        if connection.execute("INSERT INTO queries VALUES (?) ON CONFLICT DO NOTHING", (key,)).rowcount == 0:
            raise LedgerError("This question has been charged before; nothing is said to it twice.")

    def reserve_training(self, job_id: str, collection: str, epsilon: float, delta: float, limit: float) -> None:
        """Reserves the whole plan of a job for all units of a collection; the same job again changes nothing.

        Raises:
            LedgerError: It would bring the ε of all jobs over `limit`, or could not be written.
        """
        with self._turn, self._transaction() as connection:
            known = connection.execute(
                "SELECT 1 FROM training WHERE job_id = ? AND collection = ?", (job_id, collection)
            ).fetchone()
            if known:
                return
            (spent,) = connection.execute(
                "SELECT coalesce(sum(epsilon), 0) FROM training WHERE collection = ?", (collection,)
            ).fetchone()
            if spent + epsilon > limit:
                raise LedgerError(
                    f"The job asks for ε = {epsilon:.3g}; {limit - spent:.3g} of {limit:.3g} are left in {collection}.",
                    "Use more noise, fewer steps, or another data set.",
                )
            connection.execute(
                "INSERT INTO training (job_id, collection, epsilon, delta) VALUES (?, ?, ?, ?)",
                (job_id, collection, epsilon, delta),
            )

    def agree(
        self, wanted: Sequence[UnitTerms], unprotected: Collection[str] = (), *, accept: bool = False
    ) -> list[str]:
        """Holds the node to the terms that its units have been charged under; nothing charged, nothing held.

        Args:
            wanted: Of all collections under `dp`.
            unprotected: Folders of documents that are answered from in other modes.
            accept: The operator has read what changes, and takes it on; it is written down.

        Returns:
            What changes, in words; empty when nothing does.

        Raises:
            LedgerError: Units would get more than they were promised, and nobody has accepted that.
        """
        with self._turn, self._transaction() as connection:
            charged = {row[0] for row in connection.execute("SELECT DISTINCT collection FROM units")}
            rows = connection.execute("SELECT collection, folder, unit, epsilon, delta FROM terms").fetchall()
            known = [UnitTerms(**dict(zip(_TERMS, row, strict=True))) for row in rows if row[0] in charged]
            broken = what_breaks(known, wanted, unprotected)
            if broken and not accept:
                raise LedgerError(
                    f"Units would get more than they were promised: {'; '.join(broken)}.",
                    "Set node.toml back, or accept the sum of both claims by `frag node privacy --accept`.",
                )
            connection.executemany("INSERT INTO accepted (change) VALUES (?)", [(change,) for change in broken])
            _write_terms(connection, wanted, [*unprotected, *(terms.folder for terms in wanted)])
        return broken

    def accepted(self) -> list[tuple[str, str]]:
        """When (UTC), and what, the operator has accepted against earlier promises; the oldest first."""
        with self._turn:
            rows = self._connection.execute("SELECT accepted_at, change FROM accepted ORDER BY rowid")
            return [(row[0], row[1]) for row in rows]

    def spent_by(self, unit: str) -> float:
        """ρ that a unit has spent; 0 for one that never took part."""
        with self._turn:
            row = self._connection.execute("SELECT rho FROM units WHERE unit_key = ?", (self._key(unit),)).fetchone()
        return float(row[0]) if row else 0.0

    def spends(self, collection: str) -> list[float]:
        """ρ of every unit of a collection that was ever charged, ascending."""
        with self._turn:
            rows = self._connection.execute("SELECT rho FROM units WHERE collection = ? ORDER BY rho", (collection,))
            return [row[0] for row in rows]

    def summary(self) -> list[Spent]:
        """One line a collection."""
        with self._turn:
            answers = self._connection.execute(
                "SELECT collection, count(*), max(rho), avg(rho), sum(num_answers) FROM units GROUP BY collection"
            ).fetchall()
            rows = self._connection.execute(
                "SELECT collection, sum(epsilon), sum(delta) FROM training GROUP BY collection"
            )
            training = {row[0]: row[1:] for row in rows}
        found = {row[0]: row[1:] for row in answers}
        return [
            Spent(
                collection=name,
                num_units=found.get(name, (0, 0.0, 0.0, 0))[0],
                max_rho=found.get(name, (0, 0.0, 0.0, 0))[1],
                mean_rho=found.get(name, (0, 0.0, 0.0, 0))[2],
                num_answers=found.get(name, (0, 0.0, 0.0, 0))[3],
                training_epsilon=training.get(name, (0.0, 0.0))[0],
                training_delta=training.get(name, (0.0, 0.0))[1],
            )
            for name in sorted(found.keys() | training.keys())
        ]

    def close(self) -> None:
        """What was charged is on disk already."""
        self._connection.close()

    def _key(self, unit: str) -> bytes:
        return hmac.digest(self._salt, unit.encode(), "sha256")

    def _transaction(self) -> "_Immediate":
        return _Immediate(self._connection)


def _write_terms(connection: sqlite3.Connection, wanted: Sequence[UnitTerms], folders: Sequence[str]) -> None:
    gone = [("", folder) for folder in folders] + [(terms.collection, "") for terms in wanted]
    connection.executemany("DELETE FROM terms WHERE collection = ? OR folder = ?", gone)
    rows = [tuple(getattr(terms, name) for name in _TERMS) for terms in wanted]
    connection.executemany("INSERT INTO terms (collection, folder, unit, epsilon, delta) VALUES (?, ?, ?, ?, ?)", rows)


class _Immediate:
    """A write transaction from its first statement on, so that two processes never both see the old balance."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise LedgerError(f"The ledger could not be written: {error}.") from error
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            self._connection.execute("ROLLBACK" if error else "COMMIT")
        except sqlite3.Error as failure:
            raise LedgerError(f"The ledger could not be written: {failure}.") from failure
        if isinstance(error, sqlite3.Error):
            raise LedgerError(f"The ledger could not be written: {error}.") from error


def _migrate(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(_MIGRATIONS):
        raise sqlite3.DatabaseError("it was written by a newer version")
    for number, script in enumerate(_MIGRATIONS[version:], version + 1):
        with closing(connection.cursor()) as cursor:
            cursor.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
