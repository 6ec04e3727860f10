"""`frag eval`: measure a real federation on labelled questions."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from server.evaluation.run import Tick

app = typer.Typer(help="Evaluate a federation on labelled questions.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Evaluate a federation on labelled questions."""


@app.command()
def rag(
    dataset: Annotated[Path, typer.Option(help="SQuAD-format JSON, or JSONL with id, source, question, answer.")],
    silos: Annotated[int, typer.Option(min=1, help="Nodes that the natural silos are merged into.")],
    limit_questions: Annotated[int, typer.Option(min=0, help="Sample of questions; 0: all.")] = 0,
    answers: Annotated[
        int, typer.Option(min=1, help="Sample of questions that are answered, not only looked up.")
    ] = 60,
    synthesize: Annotated[int, typer.Option(min=0, help="Questions that are also merged by `synthesize`.")] = 0,
    mode: Annotated[str, typer.Option("--answer-mode", help="none or scrub.")] = "none",
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Questions under way at once.")] = 4,
    seed: Annotated[int, typer.Option(help="Of samples and split.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for JSON and plot.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Run in this new folder and keep it, with its logs.")] = None,
    *,
    retrieval_only: Annotated[bool, typer.Option("--retrieval-only", help="Generate no answers.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Federated against pooled and against each silo alone, with real node processes."""
    from frag.errors import BadRequestError
    from frag.types import AnswerMode
    from server.evaluation.datasets import load_dataset, sample_questions
    from server.evaluation.rag import RagPlan, evaluate_rag
    from server.evaluation.report import print_report, write_report

    if mode not in set(AnswerMode):
        raise BadRequestError(f"Unknown answer mode {mode!r}.", f"Use one of {', '.join(AnswerMode)}.")
    loaded = sample_questions(load_dataset(dataset), limit_questions, seed)
    plan = RagPlan(
        dataset=loaded,
        num_silos=silos,
        num_answers=0 if retrieval_only else answers,
        seed=seed,
        concurrency=concurrency,
        answer_mode=AnswerMode(mode),
        num_synthesized=synthesize,
    )
    with _bar(quiet=as_json) as tick:
        report = asyncio.run(evaluate_rag(plan, tick, keep))
    files = write_report(report, out) if out else []
    if as_json:
        typer.echo(json.dumps(report))
        return
    print_report(report)
    for file in files:
        typer.echo(f"wrote {file}")


@contextmanager
def _bar(*, quiet: bool) -> "Iterator[Tick]":
    """One bar on standard error that follows what is under way."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True) as bars:
        task = bars.add_task("starting", total=None)
        yield lambda what, done, total: bars.update(task, description=what, completed=done, total=total or None)
