"""Runs the systems over seeds and reduces them to one report."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from frag.models import Kind, locate
from frag.protocols import FloatArray
from prompt_tuning.dataset import Example
from prompt_tuning.job import JobSettings
from server.evaluation.measures import interval_95
from server.evaluation.training.partition import Labelled, partition
from server.evaluation.training.systems import Bench, Scores, Tick

if TYPE_CHECKING:
    from prompt_tuning.frozen_inputs import FrozenInputs
    from server.evaluation.training.budget import Contender

_MEMORY_BYTES = 10 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainPlan:
    """What is compared. `systems` beyond the written prompts: federated, centralised, nodes."""

    task: Labelled
    job: JobSettings
    num_nodes: int
    partition: str
    seeds: Sequence[int]
    folder: Path
    systems: frozenset[str]
    language_model: str
    threads: int


def evaluate_train(plan: TrainPlan, tick: Tick) -> dict[str, Any]:
    """The report as JSON types: each system with its measure, its interval, and what it gains over others."""
    from prompt_tuning.frozen_inputs import FrozenInputs
    from prompt_tuning.language_model import TransformersLanguageModel

    folder = locate(plan.language_model, Kind.LANGUAGE_MODEL)
    model = TransformersLanguageModel(folder, threads=plan.threads)
    embed = _embedder(plan.threads)
    retrieved = _with_retrieved(plan.task, embed)
    started = time.perf_counter()
    inputs = FrozenInputs(model.forward, memory_bytes=_MEMORY_BYTES)
    runs = [_run_seed(plan, seed, model, embed, retrieved, inputs, tick) for seed in plan.seeds]
    report = _reduce(plan, runs)
    return report | {"seconds": round(time.perf_counter() - started, 1)}


def compare_methods(plan: TrainPlan, contenders: "Sequence[Contender]", budget_s: float, tick: Tick) -> dict[str, Any]:
    """What each contender reaches in `budget_s`, as JSON types. Resumable."""
    from prompt_tuning.frozen_inputs import FrozenInputs
    from prompt_tuning.language_model import TransformersLanguageModel
    from server.evaluation.training.budget import within_budget

    model = TransformersLanguageModel(locate(plan.language_model, Kind.LANGUAGE_MODEL), threads=plan.threads)
    embed, seed = _embedder(plan.threads), plan.seeds[0]
    nodes = partition(plan.task, plan.partition, plan.num_nodes, seed)
    found = {}
    for contender in contenders:
        # each pays for its own preparation
        inputs = FrozenInputs(model.forward, memory_bytes=_MEMORY_BYTES)
        bench = Bench(
            model=model, task=plan.task, nodes=nodes, folder=plan.folder, embed=embed, tick=tick, inputs=inputs
        )
        plan.folder.mkdir(parents=True, exist_ok=True)
        found[contender.name] = within_budget(bench, plan.job, contender, budget_s)
    return {
        "dataset": plan.task.name,
        "partition": plan.partition,
        "num_nodes": plan.num_nodes,
        "num_test": len(plan.task.test),
        "seed": seed,
        "threads": plan.threads,
        "budget_s": budget_s,
        "methods": found,
    }


def _embedder(threads: int) -> Callable[[Sequence[str]], FloatArray]:
    from frag.settings import ModelSettings
    from server.node.assembly import load_embedder

    return load_embedder(ModelSettings(threads=threads)).embed


def _with_retrieved(task: Labelled, embed: Callable[[Sequence[str]], FloatArray]) -> list[Example]:
    """Test questions with the passage of the highest cosine among all passages of the task."""
    every = [example for examples in task.silos.values() for example in examples] + list(task.test)
    passages = list(dict.fromkeys(passage for example in every for passage in example.passages))
    if not passages:
        return []
    scores = embed([example.question for example in task.test]) @ embed(passages).T
    return [
        replace(example, passages=(passages[int(best)],))
        for example, best in zip(task.test, scores.argmax(axis=1), strict=True)
    ]


def _run_seed(
    plan: TrainPlan,
    seed: int,
    model: Any,  # noqa: ANN401 - the loaded language model, whose module is heavy to import
    embed: Callable[[Sequence[str]], FloatArray],
    retrieved: Sequence[Example],
    inputs: "FrozenInputs",
    tick: Tick,
) -> dict[str, Scores]:
    job = plan.job.model_copy(update={"seed": seed})
    place = plan.folder / f"{plan.task.name}-{plan.partition.replace(':', '-')}-{plan.num_nodes}-seed{seed}"
    place.mkdir(parents=True, exist_ok=True)
    bench = Bench(
        model=model,
        task=plan.task,
        nodes=partition(plan.task, plan.partition, plan.num_nodes, seed),
        folder=place,
        embed=embed,
        tick=lambda what, done, total: tick(f"seed {seed}: {what}", done, total),
        inputs=inputs,
        retrieved=retrieved,
    )
    found = bench.templates()
    if "federated" in plan.systems:
        found["federated"] = bench.federated(job)
    if "centralised" in plan.systems:
        found["centralised"] = bench.centralised(job)
    if "nodes" in plan.systems:
        found |= {f"node/{name}": bench.alone(name, job) for name in bench.nodes}
    return found


def _reduce(plan: TrainPlan, runs: Sequence[Mapping[str, Scores]]) -> dict[str, Any]:
    names = list(runs[0])
    rows = {name: _row(plan, [run[name] for run in runs]) for name in names}
    report: dict[str, Any] = {
        "dataset": plan.task.name,
        "partition": plan.partition,
        "num_nodes": plan.num_nodes,
        "num_test": len(plan.task.test),
        "seeds": list(plan.seeds),
        "job": plan.job.model_dump(mode="json"),
        **{name: row for name, row in rows.items() if not name.startswith("node/")},
        "nodes": {name.removeprefix("node/"): row for name, row in rows.items() if name.startswith("node/")},
    }
    if "federated" in rows:
        ours = _averaged([run["federated"] for run in runs], "gold", "token_f1")
        report["gains"] = {
            name: _gain(ours, _averaged([run[name] for run in runs], "gold", "token_f1"))
            for name in names
            if name != "federated"
        }
    return report


def _averaged(scores: Sequence[Scores], passages: str, measure: str) -> FloatArray:
    """One number a test question: the mean over seeds."""
    mean: FloatArray = np.mean([score[passages][measure] for score in scores], axis=0)
    return mean


def _gain(ours: FloatArray, theirs: FloatArray) -> dict[str, Any]:
    """Federated minus another system, paired by question."""
    difference = ours - theirs
    return {"token_f1": round(float(difference.mean()), 4), "interval_95": interval_95(difference.tolist())}


def _row(plan: TrainPlan, scores: Sequence[Scores]) -> dict[str, Any]:
    row = _measures(plan, scores, "gold")
    if "retrieved" in scores[0]:
        row["retrieved"] = _measures(plan, scores, "retrieved")
    if "template" in scores[0]:
        row["template"] = scores[0]["template"]
    if "seconds" in scores[0]:
        row["train_seconds"] = round(float(np.mean([score["seconds"] for score in scores])), 1)
        row["num_bytes"] = scores[0]["num_bytes"]
        row["curve"] = scores[0]["curve"]
    return row


def _measures(plan: TrainPlan, scores: Sequence[Scores], passages: str) -> dict[str, Any]:
    exact = _averaged(scores, passages, "exact_match")
    if plan.task.measure == "accuracy":
        return {"accuracy": round(float(exact.mean()), 4), "interval_95": interval_95(exact.tolist())}
    token = _averaged(scores, passages, "token_f1")
    return {
        "token_f1": round(float(token.mean()), 4),
        "exact_match": round(float(exact.mean()), 4),
        "interval_95": interval_95(token.tolist()),
    }
