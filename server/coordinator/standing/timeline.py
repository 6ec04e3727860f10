"""Versions, what was decided about them, and what went live, in one order."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from server.coordinator.tables import DecisionRow, PromotionRow, PromptRow

_ORDER = ("version", "live", "promoted", "rolled_back", "superseded", "failed")


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """`event` is version (a new one), live, or what was decided of a run: promoted, rolled_back, superseded, failed.

    `before` was live then. `cause` is why the run started. Of metrics `f1_old` and `f1_new` are the candidate's on
    held-out examples, with `live_` before them those of the live version.
    """

    at: str
    event: str
    version: str
    before: str = ""
    standing: str = ""
    cause: str = ""
    reason: str = ""
    metrics: dict[str, float] = {}


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    timeline: list[TimelineEntry]


def timeline(
    prompts: Sequence[PromptRow], promotions: Sequence[PromotionRow], decisions: Sequence[DecisionRow]
) -> list[TimelineEntry]:
    """Oldest first. Times have whole seconds; within one a version comes before it goes live."""
    entries = [
        *(TimelineEntry(at=_at(p.created_at), event="version", version=p.version, before=p.parent,
                        metrics=json.loads(p.metrics)) for p in prompts),
        *(TimelineEntry(at=_at(p.at), event="live", version=p.version) for p in promotions),
        *(_decided(row) for row in decisions),
    ]  # fmt: skip
    return sorted(entries, key=lambda entry: (entry.at, _ORDER.index(entry.event)))


def _decided(row: DecisionRow) -> TimelineEntry:
    return TimelineEntry(
        at=_at(row.at),
        event=row.decision,
        version=row.job_id,
        before=row.live,
        standing=row.standing_id,
        cause=row.cause,
        reason=row.reason,
        metrics=json.loads(row.metrics),
    )


def _at(moment: datetime) -> str:
    """SQLite forgets the zone, PostgreSQL keeps it."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="seconds")
