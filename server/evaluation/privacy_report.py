"""What `frag eval privacy` found, for people: a table and a plot."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from server.tables import print_table


def print_privacy(report: Mapping[str, Any]) -> None:
    """A line a setting; differences that the intervals do not show are not there."""
    header = report["header"]
    console = Console()
    console.print(f"[bold]{header['dataset']}[/bold]: {header['questions']} questions over {header['silos']} nodes")
    table = Table("setting", box=None, header_style="bold")
    for name in ("F1", "95 %", "answered", "slowest node, p50"):
        table.add_column(name, justify="right")
    for name, row in report["settings"].items():
        low, high = row["interval_95"]
        table.add_row(
            name,
            f"{row['token_f1']:.3f}",
            f"{low:.3f} to {high:.3f}",
            f"{row['answered']:.2f}",
            f"{row['slowest_node_p50_s']:.2f} s",
        )
    print_table(table)


def plot_privacy(report: Mapping[str, Any], file: Path) -> None:
    """F1 of every setting with its interval, in the order of the table."""
    from matplotlib.figure import Figure

    rows = list(report["settings"].items())[::-1]
    figure = Figure(figsize=(7.5, 1.2 + 0.27 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for place, (name, row) in enumerate(rows):
        low, high = row["interval_95"]
        color = "#3b6ea5" if name.startswith("dp") else "#555555"
        axes.plot([low, high], [place, place], color=color, linewidth=2)
        axes.plot(row["token_f1"], place, "o", color=color)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=8)
    axes.set_xlim(left=0)
    axes.set_xlabel("token F1, 95 %")
    axes.set_title(f"{report['header']['dataset']}: {report['header']['questions']} questions", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=150)
