"""`frag eval`: measure a real federation on labelled questions."""

import asyncio
import json
import math
from pathlib import Path
from typing import Annotated

import typer

from server.commands.choices import FilteredMode
from server.commands.evaluate_continual import drift, lifelong
from server.commands.evaluate_personal import personal
from server.commands.evaluate_training import live, methods, train
from server.commands.showing import progress_bar, show

app = typer.Typer(help="Evaluate a federation on labelled questions.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Evaluate a federation on labelled questions."""


for command in (train, methods, live, personal, lifelong, drift):
    app.command()(command)


@app.command()
def rag(
    dataset: Annotated[Path, typer.Option(help="SQuAD-format JSON, or JSONL with id, source, question, answer.")],
    silos: Annotated[int, typer.Option(min=1, help="Nodes that the natural silos are merged into.")],
    limit_questions: Annotated[int, typer.Option(min=0, help="Sample of questions; 0: all.")] = 0,
    answers: Annotated[
        int, typer.Option(min=1, help="Sample of questions that are answered, not only looked up.")
    ] = 60,
    synthesize: Annotated[int, typer.Option(min=0, help="Questions that are also merged by `synthesize`.")] = 0,
    mode: Annotated[
        FilteredMode, typer.Option("--answer-mode", help="What is done to an answer before it leaves its node.")
    ] = "none",
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Questions under way at once.")] = 4,
    seed: Annotated[int, typer.Option(help="Of samples and split.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for JSON and plot.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Run in this new folder and keep it, with its logs.")] = None,
    *,
    retrieval_only: Annotated[bool, typer.Option("--retrieval-only", help="Generate no answers.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Federated against pooled and against each silo alone, with real node processes."""
    from frag.types import AnswerMode
    from server.evaluation.datasets import load_dataset, sample_questions
    from server.evaluation.rag import RagPlan, evaluate_rag
    from server.evaluation.report import print_report, write_report

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
    with progress_bar(quiet=as_json) as tick:
        report = asyncio.run(evaluate_rag(plan, tick, keep))
    show(report, print_report, write_report(report, out) if out else [], as_json=as_json)


@app.command()
def privacy(
    dataset: Annotated[Path, typer.Option(help="SQuAD-format JSON, or JSONL with id, source, question, answer.")],
    silos: Annotated[int, typer.Option(min=1, help="Nodes that the natural silos are merged into.")] = 6,
    questions: Annotated[int, typer.Option(min=1, help="Sample that is asked in every setting.")] = 12,
    epsilon: Annotated[list[float] | None, typer.Option(help="Budget; may be repeated. inf: no bound.")] = None,
    units: Annotated[list[int] | None, typer.Option(help="Units that agree at one node; may be repeated.")] = None,
    seed: Annotated[int, typer.Option(help="Of sample and split.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for JSON and plot; a second run goes on from there.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """What each answer mode costs in quality and time; mode dp by ε, questions of a budget, and voters."""
    from server.evaluation.datasets import load_dataset
    from server.evaluation.privacy import PrivacyPlan, evaluate_privacy
    from server.evaluation.privacy_report import plot_privacy, print_privacy

    loaded = load_dataset(dataset)
    plan = PrivacyPlan(
        dataset=loaded,
        num_silos=silos,
        num_questions=questions,
        epsilons=tuple(epsilon or (1.0, 4.0, 8.0, math.inf)),
        units=tuple(units or (1, 8, 32)),
        seed=seed,
    )
    file = out / f"privacy-{loaded.name}.json" if out else None
    with progress_bar(quiet=as_json) as tick:
        report = asyncio.run(evaluate_privacy(plan, tick, file))
    files = []
    if file is not None:
        plot_privacy(report, plot := file.with_suffix(".png"))
        files = [file, plot]
    show(report, print_privacy, files, as_json=as_json)


@app.command()
def routing(
    dataset: Annotated[Path, typer.Option(help="SQuAD-format JSON, or JSONL with id, source, question, answer.")],
    silos: Annotated[int, typer.Option(min=2, help="Nodes that the natural silos are merged into.")] = 6,
    limit_questions: Annotated[int, typer.Option(min=0, help="Sample of questions; 0: all.")] = 0,
    noise_sd: Annotated[str, typer.Option(help="σ of the profiles, comma-separated; 0: none.")] = "0,1,2,4,8",
    draws: Annotated[int, typer.Option(min=1, help="Publications that noisy figures are means over.")] = 5,
    seed: Annotated[int, typer.Option(help="Of sample and split.")] = 0,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """How often `top:m` asks the silo that holds the answer, and what a forged profile attracts. A simulation."""
    from frag.settings import ModelSettings
    from server.evaluation.datasets import load_dataset, sample_questions
    from server.evaluation.routing import RoutingPlan, evaluate_routing, print_routing
    from server.node.assembly import load_embedder

    plan = RoutingPlan(
        dataset=sample_questions(load_dataset(dataset), limit_questions, seed),
        num_silos=silos,
        noise_sds=[float(value) for value in noise_sd.split(",")],
        draws=draws,
        seed=seed,
    )
    with progress_bar(quiet=as_json) as tick:
        report = evaluate_routing(plan, load_embedder(ModelSettings()), tick)
    show(report, print_routing, as_json=as_json)


@app.command()
def pii(
    data: Annotated[Path, typer.Option(help="presidio-research's JSON of labelled texts.")],
    folds: Annotated[int, typer.Option(min=2, max=20, help="Groups of templates; the first is held out.")] = 5,
    out: Annotated[Path | None, typer.Option(help="Folder for the JSON.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Which personal data redaction finds: all of it, the model alone, and forms alone."""
    from frag.durable import write_atomic
    from server.evaluation.pii import evaluate_pii, load_labelled, usual_redactors
    from server.evaluation.pii_report import print_pii

    with progress_bar(quiet=as_json) as tick:
        report = evaluate_pii(load_labelled(data), usual_redactors(), folds, tick)
    if out is not None:
        write_atomic(out / "pii.json", json.dumps(report, indent=1).encode())
    show(report, print_pii, as_json=as_json)
