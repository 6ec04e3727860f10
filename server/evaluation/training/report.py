"""The report for people: a table, the JSON, and the curves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from frag.durable import write_atomic
from server.tables import print_table

_WHOLE = ("zero_shot", "best_template", "federated", "centralised")


def systems_of(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Every system in the order of the table."""
    return {name: report[name] for name in _WHOLE if name in report} | dict(report["nodes"])


def print_report(report: Mapping[str, Any]) -> None:
    """A table that lines up, and what the federation gains."""
    console = Console()
    method, strategy = report["job"]["method"], report["job"]["strategy"]["kind"]
    console.print(
        f"[bold]{report['dataset']}[/bold], {report['partition']} over {report['num_nodes']} nodes, "
        f"{method['kind']} {method['place']}, {strategy}, {report['num_test']} test questions, seeds {report['seeds']}"
    )
    table = Table("system", "F1 or accuracy", "95 %", "EM", "retrieved F1", "train s", box=None, header_style="bold")
    for name, row in systems_of(report).items():
        low, high = row["interval_95"]
        table.add_row(
            name,
            f"{row.get('token_f1', row.get('accuracy')):.3f}",
            f"{low:.3f} to {high:.3f}",
            _shown(row.get("exact_match")),
            _shown(row.get("retrieved", {}).get("token_f1")),
            f"{row['train_seconds']:.0f}" if "train_seconds" in row else "–",
        )
    print_table(table)
    for name, gain in report.get("gains", {}).items():
        low, high = gain["interval_95"]
        console.print(f"federated − {name}: {gain['token_f1']:+.3f} ({low:+.3f} to {high:+.3f})")


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def write_report(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes JSON and the plot of training losses; returns their paths."""
    method = report["job"]["method"]
    stem = f"train-{report['dataset']}-{method['kind']}-{method['place']}-{report['job']['strategy']['kind']}"
    written = [folder / f"{stem}.json", folder / f"{stem}.png"]
    write_atomic(written[0], msgspec.json.format(msgspec.json.encode(report), indent=1))
    _plot(report, written[1])
    return written


def _plot(report: Mapping[str, Any], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, row in systems_of(report).items():
        if curve := row.get("curve"):
            axes.plot([x for x, _ in curve], [y for _, y in curve], label=name, linewidth=1)
    axes.set(xlabel="seconds of training", ylabel="loss, nats a token", title=path.stem)
    if axes.lines:
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def print_methods(report: Mapping[str, Any]) -> None:
    """One line a method and place, the best first."""
    console = Console()
    console.print(
        f"[bold]{report['dataset']}[/bold] over {report['num_nodes']} nodes, {report['budget_s']:g} s each on "
        f"{report['threads']} threads, {report['num_test']} test questions"
    )
    table = Table("method", "F1", "95 %", "EM", "prepare s", "step s", "steps", "bytes", box=None, header_style="bold")
    for name, row in sorted(report["methods"].items(), key=lambda item: -item[1]["points"][-1][1]):
        low, high = row["interval_95"]
        table.add_row(
            name,
            f"{row['points'][-1][1]:.3f}",
            f"{low:.3f} to {high:.3f}",
            f"{row['exact_match']:.3f}",
            f"{row['prepare_s']:.0f}",
            f"{row['step_s']:.2f}",
            str(row["num_steps"]),
            f"{row['num_bytes']:,}",
        )
    print_table(table)


def write_methods(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes `methods-<dataset>.json` and the quality over time as `.png`; returns both."""
    from matplotlib.figure import Figure

    written = [folder / f"methods-{report['dataset']}.json", folder / f"methods-{report['dataset']}.png"]
    write_atomic(written[0], msgspec.json.format(msgspec.json.encode(report), indent=1))
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, row in report["methods"].items():
        style = "--" if name.endswith("before") else "-"
        axes.plot(*zip(*row["points"], strict=True), style, marker="o", markersize=3, linewidth=1, label=name)
    axes.set(xlabel="seconds, preparation included", ylabel="token F1 on unseen articles")
    axes.legend(fontsize=8)
    figure.savefig(written[1], dpi=120)
    return written
