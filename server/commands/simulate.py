"""`frag simulate`: a job without a network, for research and for trying out settings."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer


def simulate(
    job: Annotated[Path, typer.Argument(help="job.toml.")],
    data: Annotated[Path, typer.Option(help="Examples: .jsonl, .csv, or SQuAD-format .json.")],
    nodes: Annotated[int, typer.Option(min=1, help="Simulated nodes.")] = 6,
    model: Annotated[str, typer.Option(help="Language model.")] = "smollm2-135m-instruct",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
    public: Annotated[Path | None, typer.Option(help="Examples of the coordinator, for the public phase.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the trained adaptation goes, as safetensors.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Play a training job over simulated nodes in this process: the same code as the real one."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from prompt_tuning.job import load_job
    from prompt_tuning.privacy import promise
    from server.simulating import simulate as play
    from server.simulating import write_adaptation

    settings = load_job(job)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=as_json, transient=True) as bars:
        bar = bars.add_task("preparing", total=settings.rounds.number)
        result = play(
            settings,
            data,
            nodes,
            model,
            threads,
            lambda done: bars.update(
                bar, completed=done.state.round_num, description=f"loss {done.metrics.get('loss', 0.0):.3f}"
            ),
            public,
        )
    if out is not None:
        write_adaptation(result, out)
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "losses": _finite(result.losses),
                    "held_out_losses": _finite(result.held_out_losses),
                    "num_examples": result.num_examples,
                    "num_bytes": result.num_bytes,
                    "privacy": {"mode": settings.privacy.mode, **result.spent},
                }
            )
        )
        return
    typer.echo(f"{result.num_examples} examples on {nodes} nodes, {result.num_bytes:,} trained bytes")
    for number, loss in enumerate(result.losses, 1):
        if math.isfinite(loss):
            typer.echo(f"round {number:4}  loss {loss:.4f}")
    if result.spent:
        _print_spent(result.spent, settings.rounds.number)
        typer.echo(promise(settings))
    first, last = result.held_out_losses
    if math.isfinite(last):
        perplexities = f"perplexity {math.exp(first):.2f} to {math.exp(last):.2f}"
        typer.echo(f"held-out loss {first:.4f} to {last:.4f}, {perplexities}")
    if out is not None:
        typer.echo(f"wrote {out}")


def _finite(losses: Sequence[float]) -> list[float | None]:
    """As JSON can say it. Losses of nodes are withheld where their examples are protected."""
    return [loss if math.isfinite(loss) else None for loss in losses]


def _print_spent(spent: Mapping[str, float], num_rounds: int) -> None:
    typer.echo(f"ε = {spent['epsilon']:.4f} at δ = {spent['delta']:g}")
    if "epsilon_sampling_known" in spent:
        typer.echo(f"ε = {spent['epsilon_sampling_known']:.4f} against those who know which nodes took part")
    if spent.get("rounds", num_rounds) < num_rounds:
        typer.echo(f"stopped after {spent['rounds']:.0f} of {num_rounds} rounds: the next one is over the budget")
