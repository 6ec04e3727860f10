"""The report of the live loop for people: a table, the JSON, and latencies as a plot."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from frag.durable import write_atomic
from server.tables import print_table

_PHASES = ("idle", "training", "after")


def print_live(report: Mapping[str, Any]) -> None:
    """Quality before and after, then latency by phase."""
    console = Console()
    console.print(
        f"[bold]{report['dataset']}[/bold] over {len(report['documents_by_silo'])} nodes, "
        f"{report['num_questions']} questions a phase, {report['rate_per_s']:g} a second"
    )
    table = Table("", "F1", "95 %", "EM", "abstained", "not found: precision", "recall", box=None, header_style="bold")
    for name in ("before", "after"):
        row = report[name]
        low, high = row["interval_95"]
        shown = (row["exact_match"], row["abstention"], row["not_found"]["precision"], row["not_found"]["recall"])
        table.add_row(name, f"{row['token_f1']:.3f}", f"{low:.3f} to {high:.3f}", *(f"{value:.3f}" for value in shown))
    print_table(table)
    low, high = report["gain"]["interval_95"]
    console.print(f"gain {report['gain']['token_f1']:+.3f} ({low:+.3f} to {high:+.3f})")
    latencies = Table("latency", "p50 s", "p95 s", "questions", "failed", box=None, header_style="bold")
    for phase in _PHASES:
        row = report["latency_s"][phase]
        latencies.add_row(
            phase, f"{row['p50']:.2f}", f"{row['p95']:.2f}", str(row["num_questions"]), str(row["num_failed"])
        )
    print_table(latencies)
    console.print(f"p95 while training ÷ p95 idle: {report['p95_ratio']:.2f}")
    if not report["job"]["trained_until_the_last_question"]:
        console.print("Training ended before the last question of its phase; give the job more rounds.", style="yellow")


def write_live(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes `live-<dataset>.json` and `.png` into `folder` and returns both."""
    files = [folder / f"live-{report['dataset']}.json", folder / f"live-{report['dataset']}.png"]
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(files[0], msgspec.json.format(msgspec.json.encode(report), indent=1))
    _plot(report, files[1])
    return files


def _plot(report: Mapping[str, Any], file: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    scores = [report["before"]["token_f1"], report["after"]["token_f1"]]
    intervals = [report["before"]["interval_95"], report["after"]["interval_95"]]
    errors = [
        [score - low for score, (low, _) in zip(scores, intervals, strict=True)],
        [high - score for score, (_, high) in zip(scores, intervals, strict=True)],
    ]
    left.bar(["before", "after"], scores, yerr=errors, width=0.5, capsize=4)
    left.set_title("token F1 of the federation's answers", fontsize=10)
    for phase in _PHASES:
        samples = sorted(report["latency_s"][phase]["samples"])
        right.plot(samples, [(place + 1) / len(samples) for place in range(len(samples))], label=phase)
    right.set(xlabel="seconds from question to answer", ylabel="share of questions")
    right.legend(fontsize=8)
    figure.savefig(file, dpi=150)
