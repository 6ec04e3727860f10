"""`frag eval lifelong`: domains arrive one after another at the nodes; what is known of the earlier ones afterwards.

Source of the measures: Lopez-Paz and Ranzato 2017, "Gradient episodic memory"; forgetting after Chaudhry et al. 2018,
"Riemannian walk for incremental learning", eq. 3.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from frag.answers.scoring import exact_match
from frag.durable import write_atomic
from frag.errors import BadRequestError
from frag.models import Kind, locate
from frag.sampling import derive_seed
from frag.types import Template
from frag.updates import Weights
from prompt_tuning.batches import reservoir
from prompt_tuning.dataset import Example
from prompt_tuning.job import JobSettings
from prompt_tuning.local_training import Remembered, Schedule, train
from prompt_tuning.simulation import Simulation
from prompt_tuning.strategies import ServerState
from server.evaluation.training.partition import Labelled
from server.evaluation.training.systems import Tick

if TYPE_CHECKING:
    from prompt_tuning.trainable import Prepared, Trainable

_MEMORY_BYTES = 4 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What is done against forgetting: the share of old examples in a batch, and μ of the pull to the live prompt."""

    replay: float = 0.0
    anchor: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LifelongPlan:
    """What is compared. `job.rounds.number` rounds follow each arrival of `domains_each` domains."""

    task: Labelled
    job: JobSettings
    num_nodes: int
    domains_each: int
    remedies: Mapping[str, Remedy]
    buffer_examples: int
    joint: bool
    seed: int
    folder: Path
    language_model: str
    threads: int

    def arrivals(self) -> list[list[str]]:
        """Domains in the order in which they come, drawn by the seed."""
        ranked = sorted(self.task.silos, key=lambda name: derive_seed(self.seed, "arrival", name))
        return [ranked[start : start + self.domains_each] for start in range(0, len(ranked), self.domains_each)]

    def node_of(self, domain: str) -> str:
        """Domains go to the nodes in turn."""
        order = [name for arrival in self.arrivals() for name in arrival]
        return f"node-{order.index(domain) % self.num_nodes}"

    def key(self, *parts: object) -> str:
        """Names a result: the same plan finds it again."""
        ids = [example.example_id for silo in self.task.silos.values() for example in silo]
        ids += [example.example_id for example in self.task.test]
        told = (self.job.model_dump_json(), self.num_nodes, self.domains_each, self.seed, self.buffer_examples, ids)
        return hashlib.sha256(repr((told, self.language_model, parts)).encode()).hexdigest()[:16]


@dataclass(slots=True)
class Bench:
    """The model with everything prepared once, and what has been measured."""

    plan: LifelongPlan
    trainable: "Trainable"
    prepared: Mapping[str, "Prepared"]
    tick: Tick
    tests: Mapping[str, Sequence[Example]] = field(init=False)

    def __post_init__(self) -> None:
        names = {domain.replace("_", " "): domain for domain in self.plan.task.silos}
        tests: dict[str, list[Example]] = {domain: [] for domain in self.plan.task.silos}
        for example in self.plan.task.test:
            tests[names[example.answers[0]]].append(example)
        if empty := [domain for domain, found in tests.items() if not found]:
            raise BadRequestError(f"No test question is of {', '.join(empty)}.", "Take more test questions.")
        self.tests = tests

    def of(self, examples: Sequence[Example]) -> "list[Prepared]":
        """The same examples, prepared."""
        return [self.prepared[example.example_id] for example in examples]

    def accuracy(self, weights: Weights | None, domains: Sequence[str]) -> dict[str, float]:
        """Share of right answers to the test questions of each domain."""
        asked = [example for domain in domains for example in self.tests[domain]]
        answers = self.trainable.answers(weights, self.of(asked), max_new_tokens=10)
        right = iter([exact_match(answer, e.answers) for answer, e in zip(answers, asked, strict=True)])
        return {domain: float(np.mean([next(right) for _ in self.tests[domain]])) for domain in domains}


def evaluate_lifelong(plan: LifelongPlan, tick: Tick) -> dict[str, Any]:
    """The report as JSON types. What was measured before is taken from `plan.folder`."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    bench: list[Bench] = []

    def opened() -> Bench:
        if not bench:
            bench.append(open_bench(plan, tick))
        return bench[0]

    zero = _kept(plan, "untrained", plan.key("untrained"), lambda: _untrained(opened()))[0]
    joint = _kept(plan, "joint", plan.key("joint"), lambda: _joint(opened()))[0] if plan.joint else None
    seen: dict[str, Any] = {}
    for name, remedy in plan.remedies.items():
        curve, state = [], None
        for number in range(len(plan.arrivals())):
            found, state = _after(plan, opened, name, remedy, number, state)
            curve.append(found)
        seen[name] = _summary(plan, curve)
    if joint is not None:
        seen["joint"] = {"average_accuracy": _mean(joint["accuracy"]), "forgetting": 0.0, "last": joint["accuracy"]}
    return {
        "dataset": plan.task.name,
        "arrivals": plan.arrivals(),
        "num_nodes": plan.num_nodes,
        "num_test": len(plan.task.test),
        "num_train": sum(map(len, plan.task.silos.values())),
        "steps_of_an_arrival": plan.job.total_steps,
        "seed": plan.seed,
        "job": plan.job.model_dump(mode="json"),
        "remedies": {name: {"replay": r.replay, "anchor": r.anchor} for name, r in plan.remedies.items()},
        "untrained": _mean(zero["accuracy"]),
        "systems": seen,
        "best": max(plan.remedies, key=lambda name: seen[name]["average_accuracy"]),
    }


def open_bench(plan: LifelongPlan, tick: Tick) -> Bench:
    """Loads the model and prepares every example of the plan once."""
    from prompt_tuning.frozen_inputs import FrozenInputs
    from prompt_tuning.language_model import TransformersLanguageModel
    from prompt_tuning.trainable import Trainable

    model = TransformersLanguageModel(locate(plan.language_model, Kind.LANGUAGE_MODEL), threads=plan.threads)
    inputs = FrozenInputs(model.forward, memory_bytes=_MEMORY_BYTES)
    template = Template(instruction=plan.job.instruction or plan.task.instruction)
    trainable = Trainable(model, plan.job.method, template, inputs)
    every = [example for silo in plan.task.silos.values() for example in silo] + list(plan.task.test)
    prepared = trainable.prepare(every, progress=lambda done, total: tick("frozen inputs", done, total))
    by_id = {example.example_id: made for example, made in zip(every, prepared, strict=True)}
    return Bench(plan, trainable, by_id, tick)


_Made = tuple[dict[str, Any], ServerState | None]


def _after(
    plan: LifelongPlan,
    opened: Callable[[], Bench],
    name: str,
    remedy: Remedy,
    number: int,
    before: ServerState | None,
) -> _Made:
    """Trains on arrival `number` from the state before it, and measures all domains so far."""
    if not number:
        name, remedy = "first", Remedy()  # there is nothing yet to forget, so all remedies are the same
    key = plan.key(name, remedy.replay, remedy.anchor, number)
    return _kept(plan, f"{name}-{number}", key, lambda: _arrive(opened(), name, remedy, number, before))


def _arrive(bench: Bench, name: str, remedy: Remedy, number: int, before: ServerState | None) -> _Made:
    plan = bench.plan
    weights = before.weights if before is not None else bench.trainable.initial(seed=plan.seed)
    nodes, remembered = _shares(bench, remedy, number, weights)
    job = plan.job.model_copy(update={"seed": derive_seed(plan.seed, "run", number) % 2**31})
    simulation = Simulation(job, bench.trainable, nodes, remembered=remembered)
    started = time.perf_counter()
    state = simulation.start(weights)
    for result in simulation.run(state):
        state = result.state
        bench.tick(f"{name}, arrival {number + 1}", state.round_num, job.rounds.number)
    seconds = time.perf_counter() - started
    domains = [domain for arrival in plan.arrivals()[: number + 1] for domain in arrival]
    return {"accuracy": bench.accuracy(state.weights, domains), "seconds": round(seconds, 1)}, state


def _shares(
    bench: Bench, remedy: Remedy, number: int, weights: Weights
) -> "tuple[dict[str, list[Prepared]], dict[str, Remembered]]":
    """What each node that takes part has that is new, and what it remembers. With replay all take part."""
    plan = bench.plan
    new: dict[str, list[Example]] = {}
    old: dict[str, list[Example]] = {}
    for place, arrival in enumerate(plan.arrivals()[: number + 1]):
        for domain in arrival:
            (new if place == number else old).setdefault(plan.node_of(domain), []).extend(plan.task.silos[domain])
    if not remedy.replay:
        old = {}
    nodes = {node: bench.of(new.get(node, [])) for node in sorted({*new, *old})}
    remembered = {}
    for node in nodes:
        mine = old.get(node, [])
        kept = reservoir([e.example_id for e in mine], plan.buffer_examples, plan.seed)
        remembered[node] = Remembered(
            old=bench.of([e for e in mine if e.example_id in kept]),
            share=remedy.replay,
            anchor=weights,
            anchor_mu=remedy.anchor if number else 0.0,
        )
    return nodes, remembered


def _joint(bench: Bench) -> _Made:
    """All domains at once and in one place, with as many steps as the nodes with something new took together."""
    plan, job = bench.plan, bench.plan.job
    arrivals = plan.arrivals()
    steps = job.total_steps * sum(len({plan.node_of(domain) for domain in arrival}) for arrival in arrivals)
    trained = train(
        bench.trainable,
        bench.trainable.initial(seed=plan.seed),
        bench.of([example for silo in plan.task.silos.values() for example in silo]),
        job.local.model_copy(update={"steps": steps}),
        Schedule(first_step=0, total_steps=steps),
        seed=plan.seed,
        on_step=lambda step, _loss: bench.tick("joint", step, steps),
    )
    return {"accuracy": bench.accuracy(trained.weights, list(plan.task.silos)), "num_steps": steps}, None


def _untrained(bench: Bench) -> _Made:
    return {"accuracy": bench.accuracy(None, list(bench.plan.task.silos))}, None


def _kept(plan: LifelongPlan, name: str, key: str, make: Callable[[], _Made]) -> _Made:
    """A result with its weights from disk, or made now and written."""
    path = plan.folder / f"{name}-{key}.result"
    if path.is_file():
        found, content = msgspec.msgpack.decode(path.read_bytes(), type=tuple[dict[str, Any], bytes])
        return found, ServerState.from_bytes(content) if content else None
    found, state = make()
    # each run counts its rounds from 0
    content = ServerState(weights=state.weights).to_bytes() if state is not None else b""
    write_atomic(path, msgspec.msgpack.encode((found, content)))
    return found, state


def _summary(plan: LifelongPlan, curve: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    last = curve[-1]["accuracy"]
    earlier = [domain for arrival in plan.arrivals()[:-1] for domain in arrival]
    return {
        "average_accuracy": _mean(last),
        "forgetting": forgetting([row["accuracy"] for row in curve], earlier),
        "last": last,
        "average_by_arrival": [_mean(row["accuracy"]) for row in curve],
        "seconds": round(sum(row["seconds"] for row in curve), 1),
    }


def forgetting(curve: Sequence[Mapping[str, float]], domains: Sequence[str]) -> float:
    """Mean over `domains` of the best accuracy before the last arrival minus that after it."""
    lost = [max(row[name] for row in curve[:-1] if name in row) - curve[-1][name] for name in domains]
    return round(float(np.mean(lost)), 4) if lost else 0.0


def _mean(accuracy: Mapping[str, float]) -> float:
    return round(float(np.mean(list(accuracy.values()))), 4)
