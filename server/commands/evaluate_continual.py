"""`frag eval lifelong | drift`: what training in pieces forgets, and what changes of traffic are noticed."""

from pathlib import Path
from typing import Annotated

import typer

from server.commands.showing import progress_bar, show


def lifelong(
    dataset: Annotated[Path, typer.Option(help="CLINC150's data file with domains.json beside it.")],
    nodes: Annotated[int, typer.Option(min=1, help="Nodes that the domains come to in turn.")] = 4,
    domains_each: Annotated[int, typer.Option(min=1, help="Domains of an arrival.")] = 2,
    job: Annotated[Path | None, typer.Option(help="job.toml; the options below override it.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds after each arrival.")] = 2,
    steps: Annotated[int, typer.Option(min=1, help="Local steps of a round.")] = 15,
    learning_rate: Annotated[float, typer.Option(min=0, help="Of the nodes; 0: as the job says.")] = 3e-3,
    replay: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share of old examples where they are replayed.")
    ] = 0.5,
    anchor: Annotated[float, typer.Option(min=0, help="μ of the pull to the live prompt where there is one.")] = 0.1,
    buffer: Annotated[int, typer.Option(min=0, help="Old examples that a node keeps; 0: all.")] = 0,
    limit_test: Annotated[int, typer.Option(min=0, help="Test questions; 0: all.")] = 200,
    limit_train: Annotated[int, typer.Option(min=0, help="Training examples of a domain; 0: all.")] = 60,
    systems: Annotated[str, typer.Option(help="Of naive,replay,anchor,both,joint.")] = "naive,replay,anchor,both,joint",
    seed: Annotated[int, typer.Option(help="Of the order of domains, first weights and batches.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of results; a second run goes on from there.")] = Path("results"),
    model: Annotated[str, typer.Option(help="Language model.")] = "smollm2-135m-instruct",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Domains arrive one after another: accuracy and forgetting of naive rounds, replay, anchor, both. Resumable."""
    from frag.errors import BadRequestError
    from server.evaluation.training.lifelong import LifelongPlan, Remedy, evaluate_lifelong
    from server.evaluation.training.lifelong_report import print_lifelong, write_lifelong
    from server.evaluation.training.plan import make_job, spread
    from server.evaluation.training.tasks import load_domains

    remedies = {
        "naive": Remedy(),
        "replay": Remedy(replay=replay),
        "anchor": Remedy(anchor=anchor),
        "both": Remedy(replay=replay, anchor=anchor),
    }
    chosen = systems.split(",")
    if unknown := set(chosen) - {*remedies, "joint"}:
        raise BadRequestError(
            f"Unknown systems: {', '.join(sorted(unknown))}.", "Use naive, replay, anchor, both, joint."
        )
    plan = LifelongPlan(
        task=spread(load_domains(dataset), num_test=limit_test, num_train=limit_train),
        job=make_job(job, rounds=rounds, steps=steps, learning_rate=learning_rate),
        num_nodes=nodes,
        domains_each=domains_each,
        remedies={name: remedies[name] for name in chosen if name != "joint"},
        buffer_examples=buffer,
        joint="joint" in chosen,
        seed=seed,
        folder=out / "lifelong",
        language_model=model,
        threads=threads,
    )
    with progress_bar(quiet=as_json) as tick:
        report = evaluate_lifelong(plan, tick)
    show(report, print_lifelong, write_lifelong(report, out), as_json=as_json)


def drift(
    dataset: Annotated[Path, typer.Option(help="CLINC150's data file with domains.json beside it.")],
    window: Annotated[int, typer.Option(min=10, help="Questions that are judged together.")] = 50,
    reference_windows: Annotated[int, typer.Option(min=1, help="Windows that say what is usual.")] = 4,
    windows: Annotated[int, typer.Option(min=1, help="Stationary windows in which false triggers are counted.")] = 100,
    trials: Annotated[int, typer.Option(min=1, help="Changes of traffic, each after a usual drawn anew.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the halves, the order and the draws.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the JSON.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Whether exchanged domains and changed topics are seen, and how often stationary traffic raises an alarm."""
    from frag.settings import ModelSettings
    from server.evaluation.drift import DriftPlan, evaluate_drift, load_utterances, print_drift, write_drift
    from server.node.assembly import load_embedder

    plan = DriftPlan(
        utterances=load_utterances(dataset),
        window=window,
        reference_windows=reference_windows,
        num_windows=windows,
        trials=trials,
        seed=seed,
    )
    with progress_bar(quiet=as_json) as tick:
        report = evaluate_drift(plan, load_embedder(ModelSettings(threads=threads)).embed, tick)
    show(report, print_drift, write_drift(report, out) if out else [], as_json=as_json)
