"""Standing jobs and the timeline of versions, as tables for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from server.tables import plain_table, print_table

_CAUSES = {"new_examples": "new examples", "drift": "drift"}


def print_standing(jobs: Sequence[Mapping[str, Any]]) -> None:
    """One line a standing job."""
    table = plain_table()
    table.add_column("standing job", overflow="fold", min_width=max(len(job["job_id"]) for job in jobs))
    table.add_column("state", no_wrap=True)
    table.add_column("runs", justify="right")
    table.add_column("promoted", justify="right")
    table.add_column("waits for", overflow="fold")
    for job in jobs:
        row = (job["job_id"], job["state"], str(job["num_runs"]), str(len(job["versions"])))
        table.add_row(*row, job["waiting"] or job["run"])
    print_table(table)


def print_timeline(entries: Sequence[Mapping[str, Any]]) -> None:
    """One line an event; F1 as live → candidate, on held-out examples that were there before and that are new."""
    table = plain_table()
    table.add_column("time (UTC)", no_wrap=True)
    table.add_column("event", no_wrap=True)
    names = [entry["version"] for entry in entries]
    table.add_column("version", overflow="fold", min_width=max(map(len, names), default=7))
    for title in ("F1 old", "F1 new"):
        table.add_column(title, no_wrap=True, justify="right")
    table.add_column("why", overflow="fold")
    for entry in entries:
        table.add_row(
            entry["at"][:19].replace("T", " "),
            entry["event"].replace("_", " "),
            entry["version"] or "the model as it is",
            *(_change(entry["metrics"], side) for side in ("old", "new")),
            _why(entry),
        )
    print_table(table)


def _change(metrics: Mapping[str, float], side: str) -> str:
    before, after = metrics.get(f"live_f1_{side}"), metrics.get(f"f1_{side}")
    return "–" if before is None or after is None else f"{before:.3f} → {after:.3f}"


def _why(entry: Mapping[str, Any]) -> str:
    cause = _CAUSES.get(entry["cause"], "")
    return f"{cause}: {entry['reason']}" if cause and entry["reason"] else entry["reason"]
