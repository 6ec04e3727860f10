"""`frag eval train | methods | live`: what training reaches, and what it does to a running federation."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from server.commands.choices import Method, Strategy, Where
from server.commands.showing import progress_bar, show


def train(
    dataset: Annotated[
        list[Path],
        typer.Option(
            help="SQuAD-format JSON, or CLINC150 with domains.json beside it; several are tasks of different nodes."
        ),
    ],
    nodes: Annotated[int, typer.Option(min=1, help="Nodes that the training examples fall to.")],
    job: Annotated[Path | None, typer.Option(help="job.toml; the options below override it.")] = None,
    method: Annotated[Method | None, typer.Option(help="What is trained; default: as the job says.")] = None,
    place: Annotated[Where | None, typer.Option(help="Where it acts; default: as the job says.")] = None,
    rounds: Annotated[int, typer.Option(min=0, help="Rounds; 0: as the job says.")] = 0,
    steps: Annotated[int, typer.Option(min=0, help="Local steps of a round; 0: as the job says.")] = 0,
    learning_rate: Annotated[float, typer.Option(min=0, help="Of the nodes; 0: as the job says.")] = 0.0,
    strategy: Annotated[Strategy | None, typer.Option(help="Default: as the job says.")] = None,
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
            job,
            method=method or "",
            place=place or "",
            rounds=rounds,
            steps=steps,
            learning_rate=learning_rate,
            strategy=strategy or "",
        ),
        num_nodes=nodes,
        partition=partition,
        seeds=range(seeds),
        folder=out / "train",
        systems=frozenset(systems.split(",")),
        language_model=model,
        threads=threads,
    )
    with progress_bar(quiet=as_json) as tick:
        report = evaluate_train(plan, tick)
    show(report, print_report, write_report(report, out), as_json=as_json)


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
    with progress_bar(quiet=as_json) as tick:
        report = compare_methods(plan, make_contenders(contenders), budget, tick)
    show(report, print_methods, write_methods(report, out), as_json=as_json)


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
    with progress_bar(quiet=as_json) as tick:
        report = asyncio.run(evaluate_live(plan, tick, keep))
    show(report, print_live, write_live(report, out) if out else [], as_json=as_json)
