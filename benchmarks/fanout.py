"""Runs `frag bench fanout` at several sizes, and Flower beside it when a probe app is given.

    python benchmarks/fanout.py [--nodes 3 50] [--flower APP_FOLDER [--flower-python PATH]]

Prints one table and writes `results/fanout.json`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flower_fanout
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent


def measure_frag(nodes: int, num_queries: int) -> dict[str, Any]:
    """One run of the shipped command: its JSON object."""
    print(f"frag, {nodes} nodes …", file=sys.stderr)
    command = ["-m", "server.cli", "bench", "fanout", "--json"]
    options = ["--nodes", str(nodes), "--payload-bytes", "8000", "--num-queries", str(num_queries)]
    done = subprocess.run([sys.executable, *command, *options], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def print_table(frag: Sequence[dict[str, Any]], flower: Sequence[flower_fanout.Row]) -> None:
    table = Table("", "nodes", "n", "p50 ms", "p99 ms", "max ms", box=None, header_style="bold")
    for report in frag:
        for name, figures in (("frag", report), ("bare HTTP (the floor)", report["floor"])):
            counts = str(report["nodes"]), str(report["num_queries"])
            table.add_row(name, *counts, f"{figures['p50_ms']:.2f}", f"{figures['p99_ms']:.2f}", "")
    for row in flower:
        table.add_row(row.system, str(row.nodes), str(row.num_queries), f"{row.p50_ms:.0f}", "", f"{row.max_ms:.0f}")
    console = Console()
    console.print(table)
    for report in frag:
        console.print(
            f"{report['nodes']} nodes: {report['ratio_to_floor']} times the floor; an idle node takes "
            f"{report['idle_cpu_percent']} % of a core; scrubbing one such answer, apart: "
            f"{report['scrub_ms_per_answer']} ms"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=[3, 50])
    parser.add_argument("--num-queries", type=int, default=500)
    parser.add_argument("--flower", type=Path, help="folder of Flower's probe app; left out: frag alone")
    parser.add_argument("--flower-python", type=Path, help="interpreter of an environment with Flower")
    parser.add_argument("--flower-queries", type=int, default=5)
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    arguments = parser.parse_args()
    frag = [measure_frag(nodes, arguments.num_queries) for nodes in arguments.nodes]
    flower = (
        flower_fanout.measure(arguments.flower, arguments.flower_python, arguments.flower_queries)
        if arguments.flower
        else []
    )
    print_table(frag, flower)
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    arguments.results.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine, "frag": frag, "flower": [row._asdict() for row in flower]}
    (arguments.results / "fanout.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
