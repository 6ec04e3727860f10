"""What left this node today, in numbers: from the release journal alone."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from frag.privacy.accounting import epsilon_of_rho
from server.node.journal import Entry, Journal, Written

_NEWEST = 20


class Today(msgspec.Struct, frozen=True, kw_only=True):
    """Since midnight, local time. `epsilon` bounds what all answers and votes of mode `dp` of this day tell of a unit
    that took part in each of them; answers of other modes have no bound, and are not in it."""

    since: str
    answers: dict[str, int]
    withheld: dict[str, int]
    others: dict[str, int]
    num_chars: int
    num_bytes: int
    num_redactions: int
    num_citations: int
    epsilon: float
    delta: float
    newest: list[Written]


@dataclass(slots=True)
class _Sums:
    """Of the day that began at `midnight`, up to the entry `last`."""

    midnight: datetime
    last: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    withheld: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    numbers: Counter[str] = field(default_factory=Counter)
    rho: float = 0.0

    def add(self, entry_id: int, entry: Entry) -> None:
        counts = {"answer": self.answers, "withheld": self.withheld}.get(entry.kind, self.others)
        counts[{"answer": entry.mode, "withheld": entry.reason}.get(entry.kind, entry.kind)] += 1
        for name in ("num_chars", "num_bytes", "num_redactions", "num_citations"):
            self.numbers[name] += getattr(entry, name)
        self.rho += entry.rho
        self.last = entry_id


class Tally:
    """Adds up the journal, each entry once. Blocking; thread-safe. `delta` is that of the node's mode `dp`."""

    def __init__(self, journal: Journal, delta: float) -> None:
        self._journal = journal
        self._delta = delta
        self._turn = threading.Lock()
        self._sums = _Sums(_midnight())

    def today(self) -> Today:
        """What left since midnight, and the newest entries of all."""
        with self._turn:
            midnight = _midnight()
            if midnight != self._sums.midnight:
                self._sums = _Sums(midnight)
            since = midnight.astimezone(UTC).isoformat(timespec="milliseconds")
            for entry_id, entry in self._journal.since(since, self._sums.last):
                self._sums.add(entry_id, entry)
            return self._summed(self._sums)

    def _summed(self, sums: _Sums) -> Today:
        return Today(
            since=sums.midnight.isoformat(timespec="seconds"),
            answers=dict(sums.answers),
            withheld=dict(sums.withheld),
            others=dict(sums.others),
            num_chars=sums.numbers["num_chars"],
            num_bytes=sums.numbers["num_bytes"],
            num_redactions=sums.numbers["num_redactions"],
            num_citations=sums.numbers["num_citations"],
            epsilon=epsilon_of_rho(sums.rho, self._delta) if sums.rho else 0.0,
            delta=self._delta if sums.rho else 0.0,
            newest=self._journal.newest(_NEWEST),
        )


def _midnight() -> datetime:
    return datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
