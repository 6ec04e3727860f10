"""What left this node today, in numbers: from the release journal alone."""

from collections import Counter
from datetime import UTC, datetime

import msgspec

from frag.privacy.accounting import epsilon_of_rho
from server.node.journal import Journal, Written

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


def today(journal: Journal, delta: float) -> Today:
    """Adds up the journal. Blocking. `delta` is that of the node's mode `dp`."""
    midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    since = midnight.astimezone(UTC).isoformat(timespec="milliseconds")
    entries = list(journal.since(since))
    rho = sum(entry.rho for entry in entries)
    return Today(
        since=midnight.isoformat(timespec="seconds"),
        answers=dict(Counter(entry.mode for entry in entries if entry.kind == "answer")),
        withheld=dict(Counter(entry.reason for entry in entries if entry.kind == "withheld")),
        others=dict(Counter(entry.kind for entry in entries if entry.kind not in ("answer", "withheld"))),
        num_chars=sum(entry.num_chars for entry in entries),
        num_bytes=sum(entry.num_bytes for entry in entries),
        num_redactions=sum(entry.num_redactions for entry in entries),
        num_citations=sum(entry.num_citations for entry in entries),
        epsilon=epsilon_of_rho(rho, delta) if rho else 0.0,
        delta=delta if rho else 0.0,
        newest=journal.newest(_NEWEST),
    )
