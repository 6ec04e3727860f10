"""A report for people: a table on the terminal, a JSON file and a plot."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from frag.durable import write_atomic
from server.tables import print_table

_COLUMNS = {
    "R@1": "recall@1",
    "R@5": "recall@5",
    "R@10": "recall@10",
    "EM": "exact_match",
    "F1": "token_f1",
    "abstained": "abstention",
}


def rows_of(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Federated, pooled and every silo, in the order of the table."""
    return {"federated": report["federated"], "pooled": report["pooled"], **report["silos"]}


def print_report(report: Mapping[str, Any]) -> None:
    """Tables that line up, and the figures of the whole below."""
    console = Console()
    console.print(
        f"[bold]{report['dataset']}[/bold]: {report['num_documents']} documents, {report['num_questions']} questions, "
        f"answers to {report['num_answer_questions']} in mode {report['answer_mode']}"
    )
    table = Table("system", *_COLUMNS, "hybrid R@5", box=None, header_style="bold")
    for name, row in rows_of(report).items():
        table.add_row(name, *(_shown(row.get(key)) for key in _COLUMNS.values()), _shown(row["hybrid"]["recall@5"]))
    print_table(table)
    for title in ("aggregation", "scrub"):
        if title in report:
            _print_extra(console, title, report[title])
    latency = report["latency_s"]
    console.print(
        f"latency p50 {latency['p50']:.3f} s, p95 {latency['p95']:.3f} s; "
        f"{report['wire_bytes']:,} bytes on the wire, {report['wire_bytes_per_question']:,} a question"
    )


def _print_extra(console: Console, title: str, content: Mapping[str, Any]) -> None:
    console.print(title, style="bold")
    rows = content if title == "aggregation" else {title: content}
    for name, row in rows.items():
        console.print(f"{name:12} " + "  ".join(f"{key} {_shown(value)}" for key, value in row.items()), soft_wrap=True)


def _shown(value: Any) -> str:  # noqa: ANN401 - a cell of a JSON report
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def write_report(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes `rag-<dataset>.json` and `.png` into `folder` and returns both."""
    json_file = folder / f"rag-{report['dataset']}.json"
    plot_file = folder / f"rag-{report['dataset']}.png"
    write_atomic(json_file, msgspec.json.format(msgspec.json.encode(report), indent=1))
    _plot(report, plot_file)
    return [json_file, plot_file]


def _plot(report: Mapping[str, Any], file: Path) -> None:
    from matplotlib.figure import Figure

    rows = rows_of(report)
    measures = ["recall@1", "recall@5"] + (["token_f1"] if report["num_answer_questions"] else [])
    figure = Figure(figsize=(max(6.0, 1.1 * len(rows)), 3.6), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(measures)
    for offset, measure in enumerate(measures):
        places = [place + (offset - (len(measures) - 1) / 2) * width for place in range(len(rows))]
        bars = axes.bar(places, [row[measure] for row in rows.values()], width, label=measure)
        axes.bar_label(bars, fmt="%.2f", fontsize=7)
    axes.set_xticks(range(len(rows)), list(rows), rotation=20)
    axes.set_ylim(0, 1.1)
    axes.set_title(f"{report['dataset']}: {report['num_questions']} questions", fontsize=10)
    axes.legend(fontsize=8, ncols=len(measures), loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=150)
