"""`frag eval personal`: what a prompt of its own gives each node."""

from pathlib import Path
from typing import Annotated

import typer

from server.commands.showing import progress_bar, show


def personal(
    dataset: Annotated[Path, typer.Option(help="SQuAD-format JSON, or CLINC150 with domains.json beside it.")],
    nodes: Annotated[int, typer.Option(min=2, help="Nodes that the examples fall to.")] = 4,
    partition: Annotated[str, typer.Option(help="natural, iid or dirichlet:ALPHA.")] = "natural",
    job: Annotated[Path | None, typer.Option(help="job.toml of what is shared; the options below override it.")] = None,
    rounds: Annotated[int, typer.Option(min=0, help="Rounds; 0: as the job says.")] = 0,
    steps: Annotated[int, typer.Option(min=0, help="Local steps of a round; 0: as the job says.")] = 0,
    personal_steps: Annotated[int, typer.Option(min=1, help="Steps of each node for itself.")] = 40,
    margin: Annotated[float, typer.Option(min=0, help="Part of the loss that must be saved.")] = 0.02,
    limit: Annotated[int, typer.Option(min=0, help="Examples of a node; 0: all.")] = 200,
    seed: Annotated[int, typer.Option(help="Of split, first weights and batches.")] = 0,
    model: Annotated[str, typer.Option(help="Language model.")] = "smollm2-135m-instruct",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
    out: Annotated[Path | None, typer.Option(help="File for the report as JSON.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """The shared prompt, a personal one and a local one, on held-out examples of each node."""
    import json

    from frag.durable import write_atomic
    from server.evaluation.training.personal import PersonalPlan, evaluate_personal, print_personal
    from server.evaluation.training.plan import make_job
    from server.evaluation.training.tasks import load_task

    plan = PersonalPlan(
        task=load_task(dataset, 1),
        job=make_job(job, rounds=rounds, steps=steps).model_copy(update={"seed": seed}),
        num_nodes=nodes,
        partition=partition,
        steps=personal_steps,
        margin=margin,
        limit=limit,
        language_model=model,
        threads=threads,
    )
    with progress_bar(quiet=as_json) as tick:
        report = evaluate_personal(plan, tick)
    if out is not None:
        write_atomic(out, json.dumps(report, indent=1).encode() + b"\n")
    show(report, print_personal, [out] if out else [], as_json=as_json)
