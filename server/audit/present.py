"""Reports for people and programs: a table, one JSON object, and plots."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from frag.durable import write_atomic
from server.audit.report import Outcome, Report, Verdict
from server.audit.run import Kept

_STYLE = {Verdict.HELD: "green", Verdict.BROKEN: "bold red", Verdict.MEASURED: "dim"}


def as_object(kept: Sequence[Kept]) -> dict[str, Any]:
    """attack → mode → figures, intervals, claim and verdict."""
    return {item.report.attack: {outcome.mode: _content(outcome) for outcome in item.report.outcomes} for item in kept}


def _content(outcome: Outcome) -> dict[str, Any]:
    content: dict[str, Any] = dict(outcome.figures)
    content["verdict"] = outcome.verdict
    if outcome.intervals:
        content["interval_95"] = outcome.intervals
    if outcome.claim:
        content["claim"] = outcome.claim
    return content


def print_reports(kept: Sequence[Kept]) -> None:
    """A table a mode under its verdict, what the figures do not say, and which promises were broken."""
    console = Console()
    for item in kept:
        for outcome in item.report.outcomes:
            _print_outcome(console, item.report.attack, outcome)
        for note in item.report.notes:
            console.print(note, style="dim", soft_wrap=True, markup=False)
        console.print()
    broken = [f"{k.report.attack} ({o.mode})" for k in kept for o in k.report.outcomes if o.verdict is Verdict.BROKEN]
    console.print(f"broken: {', '.join(broken)}" if broken else "No promise was broken.", style="bold", soft_wrap=True)


def _print_outcome(console: Console, attack: str, outcome: Outcome) -> None:
    claim = f": {outcome.claim}" if outcome.claim else ""
    line = Text.assemble((f"{attack}, {outcome.mode}  ", "bold"), (outcome.verdict, _STYLE[outcome.verdict]), claim)
    console.print(line, soft_wrap=True)
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for name, value in outcome.figures.items():
        ends = outcome.intervals.get(name)
        table.add_row(f"  {name}", _shown(value), f"{ends[0]:.3f} to {ends[1]:.3f}" if ends else "")
    console.print(table)


def _shown(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e9 else f"{value:.3f}"


def write_reports(kept: Sequence[Kept], folder: Path) -> list[Path]:
    """Writes `audit.json` and a picture of each attack that has something to draw; returns the paths."""
    file = folder / "audit.json"
    write_atomic(file, msgspec.json.format(msgspec.json.encode(as_object(kept)), indent=1))
    return [file, *(path for item in kept if (path := _plot(item.report, folder)) is not None)]


def _plot(report: Report, folder: Path) -> Path | None:
    """Bars by mode of every figure that has an interval in some mode, and of bounds of ε."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for outcome in report.outcomes for name in outcome.intervals))
    names += [name for name in ("epsilon_lower_bound",) if any(name in outcome.figures for outcome in report.outcomes)]
    if not names:
        return None
    figure = Figure(figsize=(max(6.0, 1.2 * len(report.outcomes)), 1 + 2.2 * len(names)), layout="constrained")
    for axes, name in zip(figure.subplots(len(names), 1, squeeze=False)[:, 0], names, strict=True):
        outcomes = [outcome for outcome in report.outcomes if name in outcome.figures]
        values = [outcome.figures[name] for outcome in outcomes]
        ends = [outcome.intervals.get(name, (value, value)) for outcome, value in zip(outcomes, values, strict=True)]
        errors = [
            [max(0.0, value - low) for value, (low, _) in zip(values, ends, strict=True)],
            [max(0.0, high - value) for value, (_, high) in zip(values, ends, strict=True)],
        ]
        axes.bar(range(len(values)), values, 0.6, yerr=errors, capsize=3, color="#3b6ea5")
        axes.set_xticks(range(len(values)), [outcome.mode for outcome in outcomes], rotation=20, fontsize=8)
        axes.set_title(f"{report.attack}: {name} (95 %)", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    path = folder / f"{report.attack}.png"
    figure.savefig(path, dpi=120)
    return path
