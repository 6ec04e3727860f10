"""`frag eval`: measure a real federation on labelled questions."""

import asyncio
import json
import math
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


@app.command()
def train(
    dataset: Annotated[
        list[Path],
        typer.Option(
            help="SQuAD-format JSON, or CLINC150 with domains.json beside it; several are tasks of different nodes."
        ),
    ],
    nodes: Annotated[int, typer.Option(min=1, help="Nodes that the training examples fall to.")],
    job: Annotated[Path | None, typer.Option(help="job.toml; the options below override it.")] = None,
    method: Annotated[str, typer.Option(help="prompt, p_tuning, generator, deep, lora or full.")] = "",
    place: Annotated[str, typer.Option(help="before or after.")] = "",
    rounds: Annotated[int, typer.Option(min=0, help="Rounds; 0: as the job says.")] = 0,
    steps: Annotated[int, typer.Option(min=0, help="Local steps of a round; 0: as the job says.")] = 0,
    learning_rate: Annotated[float, typer.Option(min=0, help="Of the nodes; 0: as the job says.")] = 0.0,
    strategy: Annotated[str, typer.Option(help="fedavg, fedprox, fedavgm, fedadam, fedyogi or fedadagrad.")] = "",
    partition: Annotated[str, typer.Option(help="natural, iid or dirichlet:ALPHA.")] = "natural",
    systems: Annotated[str, typer.Option(help="Of federated,centralised,nodes.")] = "federated,centralised,nodes",
    test_silos: Annotated[int, typer.Option(min=1, help="Last articles that nobody trains on.")] = 12,
    limit_test: Annotated[int, typer.Option(min=0, help="Test questions of a task; 0: all.")] = 0,
    limit_train: Annotated[int, typer.Option(min=0, help="Training examples of a silo; 0: all.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0 to N-1.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder of results; a second run goes on from there.")] = Path("results"),
    model: Annotated[str, typer.Option(help="Language model.")] = "smollm2-135m-instruct",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Federated training against each node alone, pooled, zero-shot and the best written prompt. Resumable."""
    from server.evaluation.training.evaluate import TrainPlan, evaluate_train
    from server.evaluation.training.plan import limited, make_job
    from server.evaluation.training.report import print_report, write_report
    from server.evaluation.training.tasks import load_task, merged

    tasks = [limited(load_task(path, test_silos), num_test=limit_test, num_train=limit_train) for path in dataset]
    plan = TrainPlan(
        task=merged(tasks),
        job=make_job(
            job, method=method, place=place, rounds=rounds, steps=steps, learning_rate=learning_rate, strategy=strategy
        ),
        num_nodes=nodes,
        partition=partition,
        seeds=range(seeds),
        folder=out / "train",
        systems=frozenset(systems.split(",")),
        language_model=model,
        threads=threads,
    )
    with _bar(quiet=as_json) as tick:
        report = evaluate_train(plan, tick)
    files = write_report(report, out)
    if as_json:
        typer.echo(json.dumps(report))
        return
    print_report(report)
    for file in files:
        typer.echo(f"wrote {file}")


@app.command()
def methods(
    dataset: Annotated[Path, typer.Option(help="SQuAD-format JSON, or CLINC150 with domains.json beside it.")],
    nodes: Annotated[int, typer.Option(min=1, help="Nodes that the training examples fall to.")],
    contenders: Annotated[
        str, typer.Option("--methods", help="kind:place:learning-rate, comma-separated.")
    ] = "lora:after:3e-3,deep:after:1e-2,prompt:after:1e-2,generator:after:1e-2,p_tuning:after:1e-2,full:after:1e-4,"
    "lora:before:3e-3,deep:before:1e-2,prompt:before:1e-2",
    budget: Annotated[float, typer.Option("--budget-s", min=1, help="Seconds of each, preparation included.")] = 1200,
    job: Annotated[Path | None, typer.Option(help="job.toml for what the methods share.")] = None,
    steps: Annotated[int, typer.Option(min=0, help="Local steps of a round; 0: as the job says.")] = 0,
    test_silos: Annotated[int, typer.Option(min=1, help="Last articles that nobody trains on.")] = 12,
    limit_test: Annotated[int, typer.Option(min=0, help="Test questions; 0: all.")] = 100,
    limit_train: Annotated[int, typer.Option(min=0, help="Training examples of a silo; 0: all.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the split, the first weights and the batches.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of results; a second run goes on from there.")] = Path("results"),
    model: Annotated[str, typer.Option(help="Language model.")] = "smollm2-135m-instruct",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """What each training method and place reaches in the same time. Resumable."""
    from server.evaluation.training.evaluate import TrainPlan, compare_methods
    from server.evaluation.training.plan import limited, make_contenders, make_job
    from server.evaluation.training.report import print_methods, write_methods
    from server.evaluation.training.tasks import load_task

    plan = TrainPlan(
        task=limited(load_task(dataset, test_silos), num_test=limit_test, num_train=limit_train),
        job=make_job(job, steps=steps).model_copy(update={"seed": seed}),
        num_nodes=nodes,
        partition="natural",
        seeds=[seed],
        folder=out / "methods",
        systems=frozenset(),
        language_model=model,
        threads=threads,
    )
    with _bar(quiet=as_json) as tick:
        report = compare_methods(plan, make_contenders(contenders), budget, tick)
    files = write_methods(report, out)
    if as_json:
        typer.echo(json.dumps(report))
        return
    print_methods(report)
    for file in files:
        typer.echo(f"wrote {file}")


@app.command()
def live(
    dataset: Annotated[Path, typer.Option(help="SQuAD-format JSON.")],
    job: Annotated[Path, typer.Option(help="job.toml of the training job.")],
    silos: Annotated[int, typer.Option(min=1, help="Nodes that the articles are merged into.")] = 3,
    test_silos: Annotated[int, typer.Option(min=1, help="Last articles: asked, never trained on.")] = 12,
    questions: Annotated[int, typer.Option(min=1, help="Questions of each phase.")] = 200,
    rate: Annotated[float, typer.Option(min=0.001, help="Poisson arrivals a second, the same in every phase.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Of sample, split and arrivals.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for JSON and plot.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Run in this new folder and keep it, with its logs.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """The whole loop over one running federation: questions, a job beside them, promotion, the questions again."""
    from prompt_tuning.job import load_job
    from server.evaluation.datasets import load_dataset
    from server.evaluation.training.live import LivePlan, evaluate_live
    from server.evaluation.training.live_report import print_live, write_live

    plan = LivePlan(
        dataset=load_dataset(dataset),
        job=load_job(job),
        num_silos=silos,
        num_test_silos=test_silos,
        num_questions=questions,
        rate_per_s=rate,
        seed=seed,
    )
    with _bar(quiet=as_json) as tick:
        report = asyncio.run(evaluate_live(plan, tick, keep))
    files = write_live(report, out) if out else []
    if as_json:
        typer.echo(json.dumps(report))
        return
    print_live(report)
    for file in files:
        typer.echo(f"wrote {file}")


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
    with _bar(quiet=as_json) as tick:
        report = asyncio.run(evaluate_privacy(plan, tick, file))
    if file is not None:
        plot_privacy(report, file.with_suffix(".png"))
    if as_json:
        typer.echo(json.dumps(report))
        return
    print_privacy(report)
    if file is not None:
        typer.echo(f"wrote {file} and {file.with_suffix('.png')}")


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
    with _bar(quiet=as_json) as tick:
        report = evaluate_routing(plan, load_embedder(ModelSettings()), tick)
    if as_json:
        typer.echo(json.dumps(report))
    else:
        print_routing(report)


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

    with _bar(quiet=as_json) as tick:
        report = evaluate_pii(load_labelled(data), usual_redactors(), folds, tick)
    if out is not None:
        write_atomic(out / "pii.json", json.dumps(report, indent=1).encode())
    if as_json:
        typer.echo(json.dumps(report))
    else:
        print_pii(report)


@contextmanager
def _bar(*, quiet: bool) -> "Iterator[Tick]":
    """One bar on standard error that follows what is under way."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True) as bars:
        task = bars.add_task("starting", total=None)
        yield lambda what, done, total: bars.update(task, description=what, completed=done, total=total or None)
