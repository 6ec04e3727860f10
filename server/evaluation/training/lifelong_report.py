"""The lifelong sequence for people: a table, the JSON, and accuracy by arrival."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from frag.durable import write_atomic
from server.tables import print_table


def print_lifelong(report: Mapping[str, Any]) -> None:
    """One line a system."""
    console = Console()
    console.print(
        f"[bold]{report['dataset']}[/bold], {len(report['arrivals'])} arrivals over {report['num_nodes']} nodes, "
        f"{report['steps_of_an_arrival']} steps of a node each, {report['num_test']} test questions"
    )
    table = Table("system", box=None, header_style="bold")
    for title in ("average accuracy", "forgetting", "by arrival"):
        table.add_column(title, justify="right")
    table.add_row("untrained", f"{report['untrained']:.3f}", "–", "–")
    for name, row in report["systems"].items():
        curve = " ".join(f"{value:.2f}" for value in row.get("average_by_arrival", ())) or "–"
        table.add_row(name, f"{row['average_accuracy']:.3f}", f"{row['forgetting']:.3f}", curve)
    print_table(table)
    console.print(f"best: {report['best']}")


def write_lifelong(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes `lifelong-<dataset>.json` and `.png`; returns both."""
    from matplotlib.figure import Figure

    stem = f"lifelong-{report['dataset']}"
    written = [folder / f"{stem}.json", folder / f"{stem}.png"]
    write_atomic(written[0], msgspec.json.format(msgspec.json.encode(report), indent=1))
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, row in report["systems"].items():
        if curve := row.get("average_by_arrival"):
            axes.plot(range(1, len(curve) + 1), curve, marker="o", markersize=3, linewidth=1, label=name)
        else:
            axes.axhline(row["average_accuracy"], linestyle="--", linewidth=1, label=name, color="grey")
    axes.set(xlabel="arrival", ylabel="accuracy over all domains so far", ylim=(0, 1))
    axes.legend(fontsize=8)
    figure.savefig(written[1], dpi=120)
    return written
