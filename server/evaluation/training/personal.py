"""What a prompt of its own gives each node: the shared one, a mix of it with what was learnt here, and local alone.

In one process, on the held-out share of each node's own examples, with the code that nodes run.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from frag.answers.scoring import exact_match, token_f1
from frag.models import Kind, locate
from frag.types import Template
from frag.updates import Weights
from prompt_tuning.dataset import Example, split
from prompt_tuning.job import JobSettings
from prompt_tuning.local_training import Schedule, train
from prompt_tuning.personal import personalise
from server.evaluation.training.partition import Labelled, partition

if TYPE_CHECKING:
    from prompt_tuning.trainable import Prepared, Trainable

Tick = Callable[[str, int, int], None]
_MEMORY_BYTES = 6 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalPlan:
    """What is compared. `validation` and `held_out` are fractions of each node's groups; `limit` examples a node."""

    task: Labelled
    job: JobSettings
    num_nodes: int
    partition: str
    steps: int
    margin: float
    limit: int
    language_model: str
    threads: int
    validation: float = 0.2
    held_out: float = 0.3


@dataclass(frozen=True, slots=True)
class _Shares:
    """Prepared examples of one node."""

    train: "list[Prepared]"
    chooses: "list[Prepared]"
    judges: "list[Prepared]"


def evaluate_personal(plan: PersonalPlan, tick: Tick) -> dict[str, Any]:
    """The report as JSON types.

    Raises:
        BadRequestError: A node would have too few examples to choose and to judge by.
    """
    from prompt_tuning.frozen_inputs import FrozenInputs
    from prompt_tuning.language_model import TransformersLanguageModel
    from prompt_tuning.simulation import Simulation
    from prompt_tuning.trainable import Trainable

    started = time.perf_counter()
    model = TransformersLanguageModel(locate(plan.language_model, Kind.LANGUAGE_MODEL), threads=plan.threads)
    inputs = FrozenInputs(model.forward, memory_bytes=_MEMORY_BYTES)
    template = Template(instruction=plan.job.instruction or plan.task.instruction)
    trainable = Trainable(model, plan.job.method, template, inputs)
    nodes = _nodes(plan, trainable, tick)
    simulation = Simulation(plan.job, trainable, {name: shares.train for name, shares in nodes.items()})
    first = trainable.initial(seed=plan.job.seed)
    shared = first
    for result in simulation.run(simulation.start(first)):
        shared = result.state.weights
        tick("shared rounds", result.state.round_num, plan.job.rounds.number)
    rows = {}
    for number, (name, shares) in enumerate(nodes.items()):
        tick("personal", number, len(nodes))
        rows[name] = _row(plan, trainable, first, shared, shares)
    return {
        "dataset": plan.task.name,
        "partition": plan.partition,
        "num_nodes": plan.num_nodes,
        "job": plan.job.model_dump(mode="json"),
        "personal_steps": plan.steps,
        "margin": plan.margin,
        "nodes": rows,
        "mean": _means(rows),
        "seconds": round(time.perf_counter() - started, 1),
    }


def _nodes(plan: PersonalPlan, trainable: "Trainable", tick: Tick) -> dict[str, _Shares]:
    from frag.errors import BadRequestError

    nodes = {}
    for name, examples in partition(plan.task, plan.partition, plan.num_nodes, plan.job.seed).items():
        parts = split(_limited(examples, plan.limit), validation=plan.validation, held_out=plan.held_out)
        if not (parts.train and parts.validation and parts.held_out):
            raise BadRequestError(f"{name} has too few examples to choose and to judge by.", "Use fewer nodes.")
        shares = [
            trainable.prepare(part, progress=lambda done, total: tick("frozen inputs", done, total))
            for part in (parts.train, parts.validation, parts.held_out)
        ]
        nodes[name] = _Shares(*shares)
    return nodes


def _limited(examples: Sequence[Example], limit: int) -> Sequence[Example]:
    """Evenly spread over what the node has, since silos were appended one after the other."""
    if not 0 < limit < len(examples):
        return examples
    return [examples[place * len(examples) // limit] for place in range(limit)]


def _row(
    plan: PersonalPlan, trainable: "Trainable", first: Weights, shared: Weights, shares: _Shares
) -> dict[str, Any]:
    settings = plan.job.local.model_copy(
        update={"steps": plan.steps, "warmup_steps": max(1, plan.steps // 10), "validate_every": 0}
    )
    found = personalise(
        trainable,
        shared,
        shares.train,
        chooses=shares.chooses,
        judges=shares.judges,
        settings=settings,
        seed=plan.job.seed,
    )
    steps = plan.job.total_steps + plan.steps
    alone = train(
        trainable,
        first,
        shares.train,
        plan.job.local.model_copy(update={"steps": steps}),
        Schedule(first_step=0, total_steps=steps),
        seed=plan.job.seed,
    ).weights
    is_used = found.gain > 0 and found.gain >= plan.margin
    return {
        "num_train": len(shares.train),
        "num_held_out": len(shares.judges),
        "share": found.share,
        "gain": round(found.gain, 4),
        "used": is_used,
        "shared": _measured(trainable, shared, shares.judges),
        "personal": _measured(trainable, found.weights, shares.judges),
        "local_only": _measured(trainable, alone, shares.judges),
    }


def _measured(trainable: "Trainable", weights: Weights, examples: "Sequence[Prepared]") -> dict[str, float]:
    answers = trainable.answers(weights, examples)
    pairs = [(answer, example.golds) for answer, example in zip(answers, examples, strict=True)]
    return {
        "loss": round(trainable.loss_of(weights, examples), 4),
        "token_f1": round(float(np.mean([token_f1(*pair) for pair in pairs])), 4),
        "exact_match": round(float(np.mean([exact_match(*pair) for pair in pairs])), 4),
    }


def _means(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Over nodes, each counted once; `served` is the personal form where it is used, else the shared one."""
    means: dict[str, Any] = {"gain": round(float(np.mean([row["gain"] for row in rows.values()])), 4)}
    for system in ("shared", "personal", "local_only"):
        means[system] = _mean([row[system] for row in rows.values()])
    means["served"] = _mean([row["personal" if row["used"] else "shared"] for row in rows.values()])
    return means


def _mean(measures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: round(float(np.mean([measure[name] for measure in measures])), 4) for name in measures[0]}


def print_personal(report: Mapping[str, Any]) -> None:
    """A line for each node."""
    from rich.console import Console
    from rich.table import Table

    from server.tables import print_table

    console = Console()
    console.print(
        f"[bold]{report['dataset']}[/bold], {report['partition']} over {report['num_nodes']} nodes; token F1 on "
        f"held-out examples of each node; gain: part of the loss that is saved, used from {report['margin']:g} on"
    )
    table = Table("node", "held out", "shared", "personal", "local only", "a", "gain", "used", box=None)
    for name, row in report["nodes"].items():
        scores = [f"{row[system]['token_f1']:.3f}" for system in ("shared", "personal", "local_only")]
        used = "yes" if row["used"] else "no"
        table.add_row(name, str(row["num_held_out"]), *scores, f"{row['share']:g}", f"{row['gain']:+.3f}", used)
    print_table(table)
    served = report["mean"]["served"]["token_f1"]
    console.print(f"mean: shared {report['mean']['shared']['token_f1']:.3f}, served {served:.3f}")
