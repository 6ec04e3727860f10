"""The federation operator's side of training: requests, live progress, tables and curves."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from frag.client.connection import Connection
from frag.tls import tls_context
from server.tables import plain_table, print_table

_POLL_S = 1.0
_BLOCKS = "▁▂▃▄▅▆▇█"
_ENDED = frozenset({"done", "failed", "cancelled"})


class TrainingClient:
    """JSON requests with a key. Every call raises CoordinatorError or UnreachableError."""

    def __init__(self, url: str, key: str, tls_ca: Path | None) -> None:
        self._open = partial(Connection, url, key, tls_context(url, tls_ca))

    async def get(self, path: str) -> dict[str, Any]:
        """The JSON body of a GET."""
        async with self._open() as connection:
            return await connection.get(path)

    async def post(self, path: str, body: object = None) -> dict[str, Any]:
        """The JSON body of a POST, empty where there is none."""
        async with self._open() as connection:
            return await connection.post(path, body)


async def follow(client: TrainingClient, job_id: str, *, quiet: bool) -> dict[str, Any]:
    """Shows rounds as they are committed until the job ends; returns the job."""
    console = Console(stderr=True, quiet=quiet)
    if not console.is_terminal:
        return await _follow_by_lines(client, job_id, console)
    with Live(console=console, transient=True) as live:
        while True:
            job = await client.get(f"/v1/jobs/{job_id}")
            live.update(_progress(job))
            if job["state"] in _ENDED:
                return job
            await asyncio.sleep(_POLL_S)


async def _follow_by_lines(client: TrainingClient, job_id: str, console: Console) -> dict[str, Any]:
    """For logs and pipes: a line whenever state, round or what is waited for changes."""
    told = ""
    while True:
        job = await client.get(f"/v1/jobs/{job_id}")
        waiting = f", waiting: {job['waiting']}" if job["waiting"] else ""
        now = f"{job_id}  {job['state']}, round {len(job['rounds'])} of {job['num_rounds']}{waiting}"
        if now != told:
            console.print(now, soft_wrap=True, highlight=False)
            told = now
        if job["state"] in _ENDED:
            return job
        await asyncio.sleep(_POLL_S)


def _progress(job: Mapping[str, Any]) -> Group:
    rounds = job["rounds"]
    bar = ProgressBar(total=job["num_rounds"], completed=len(rounds), width=40)
    curves = [
        f"{name.replace('_', ' '):14} {curve(values)}  {values[-1]:.3f}"
        for name in ("loss", "held_out_f1")
        if (values := [row["metrics"][name] for row in rounds if name in row["metrics"]])
    ]
    waiting = f", waiting: {job['waiting']}" if job["waiting"] else ""
    return Group(f"{job['job_id']}  {job['state']}{waiting}", bar, *curves, rounds_table(rounds[-8:], candidates(job)))


def curve(values: Sequence[float], width: int = 40) -> str:
    """The last `width` values as a line of blocks from the lowest to the highest."""
    shown = list(values)[-width:]
    low, high = min(shown), max(shown)
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BLOCKS[round((value - low) * scale)] for value in shown)


def candidates(job: Mapping[str, Any]) -> list[str]:
    """Names of the written prompts that a job compares, one a round; empty where something is trained."""
    return [candidate["name"] for candidate in job["job"]["method"].get("candidates", ())]


def rounds_table(rounds: Sequence[Mapping[str, Any]], names: Sequence[str] = ()) -> Table:
    """One line a round: losses, scores, who took part, what travelled. `names` stand for the numbers of rounds."""
    table = plain_table("candidate" if names else "round")
    for title in ("loss", "held-out loss", "held-out F1", "nodes", "bytes out", "bytes in", "s"):
        table.add_column(title, justify="right")
    for row in rounds:
        metrics = row["metrics"]
        shown = [_number(metrics.get(name)) for name in ("loss", "held_out_loss", "held_out_f1")]
        table.add_row(
            names[row["round"] - 1] if names else str(row["round"]),
            *shown,
            str(len(row["nodes"])),
            f"{row['bytes_out']:,}",
            f"{row['bytes_in']:,}",
            f"{row['seconds']:.1f}",
        )
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def print_job(job: Mapping[str, Any]) -> None:
    """The whole job for people: every round, remarks, and the version it ended in."""
    console = Console()
    console.print(Text.assemble((job["job_id"], "bold"), f"  {job['state']}  {job['error']}".rstrip()), soft_wrap=True)
    print_table(rounds_table(job["rounds"], candidates(job)))
    if job.get("privacy"):
        console.print(job["privacy"])
    for row in job["rounds"]:
        for node, remark in row["remarks"].items():
            console.print(Text(f"round {row['round']}: {node}: {remark}"), soft_wrap=True)
    for version in job["versions"]:
        line = f"version {version}{_chosen(job)}; make it live with: frag prompts promote {version}"
        console.print(line, soft_wrap=True)


def _chosen(job: Mapping[str, Any]) -> str:
    """Which of several written prompts a version holds."""
    names = candidates(job)
    if not names:
        return ""
    best = max(job["rounds"], key=lambda row: row["metrics"].get("held_out_f1", -1.0))
    return f" ({names[best['round'] - 1]})"


def print_jobs(jobs: Sequence[Mapping[str, Any]]) -> None:
    """One line a job."""
    if not jobs:
        print("There are no jobs. Start one with `frag train job.toml`.")
        return
    table = plain_table()
    table.add_column("job", overflow="fold", min_width=max((len(job["job_id"]) for job in jobs), default=3))
    for title in ("state", "method", "rounds", "since (UTC)"):
        table.add_column(title, no_wrap=True)
    table.add_column("error", overflow="fold")
    for job in jobs:
        method = job["job"]["method"]
        table.add_row(
            job["job_id"],
            job["state"],
            method["kind"] if candidates(job) else f"{method['kind']} {method['place']}",
            str(job["num_rounds"]),
            job["created_at"][:16].replace("T", " "),
            job["error"],
        )
    print_table(table)


def print_prompts(prompts: Sequence[Mapping[str, Any]]) -> None:
    """One line a version; the live one is marked."""
    if not prompts:
        print("There are no versions: the model as it is, is live. `frag train` makes one.")
        return
    table = plain_table()
    table.add_column("live")
    table.add_column("version", overflow="fold", min_width=max((len(row["version"]) for row in prompts), default=7))
    table.add_column("method", no_wrap=True)
    for title in ("bytes", "held-out F1", "ε"):
        table.add_column(title, justify="right")
    table.add_column("created (UTC)", no_wrap=True)
    for row in prompts:
        table.add_row(
            "*" if row["live"] else "",
            row["version"],
            f"{row['method']} {row['place']}" if row["num_bytes"] else row["method"],
            f"{row['num_bytes']:,}",
            _number(row["metrics"].get("held_out_f1")),
            _number(row["metrics"].get("epsilon")),
            row["created_at"][:16].replace("T", " "),
        )
    print_table(table)


def print_change(prompts: Sequence[Mapping[str, Any]], version: str) -> bool:
    """What is live and what is to be, on standard error. False, and nothing, where there is no such version."""
    chosen = next((row for row in prompts if row["version"] == version), None)
    if chosen is None and version != "none":
        return False
    console = Console(stderr=True, markup=False, highlight=False)
    live = next((row for row in prompts if row["live"]), None)
    for name, row in (("live now", live), ("to be live", chosen)):
        console.print(f"{name + ':':12} {_told_of(row)}", soft_wrap=True)
    return True


def _told_of(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "the model as it is"
    measured = ", ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in sorted(row["metrics"].items()))
    return f"{row['version']} ({row['method']}): {measured or 'nothing was measured'}"


def print_promotion(said: Any) -> None:  # noqa: ANN401 - a part of a JSON response
    """What is live now, and what each node said to it."""
    console = Console()
    console.print(f"live: {said['live'] or 'the model as it is'}")
    for node, outcome in said["nodes"].items():
        console.print(f"  {node:24} {outcome}")


def plot_rounds(job: Mapping[str, Any], path: Path) -> None:
    """Losses and scores by round, as PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for axes, names in ((left, ("loss", "held_out_loss")), (right, ("held_out_f1", "held_out_em"))):
        for name in names:
            points = [(r["round"], r["metrics"][name]) for r in job["rounds"] if name in r["metrics"]]
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", label=name.replace("_", " "))
        axes.set(xlabel="round")
        if axes.lines:
            axes.legend()
    figure.suptitle(str(job["job_id"]))
    figure.savefig(path, dpi=120)
    plt.close(figure)
