"""The systems that are compared, each kept on disk when it is done, so that an interrupted evaluation goes on."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from frag.answers.scoring import exact_match, token_f1
from frag.durable import write_atomic
from frag.protocols import FloatArray
from frag.types import Template
from frag.updates import Weights
from prompt_tuning.dataset import Example
from prompt_tuning.frozen_inputs import FrozenInputs
from prompt_tuning.job import JobSettings
from prompt_tuning.language_model import TransformersLanguageModel
from prompt_tuning.local_training import Schedule, train
from prompt_tuning.private_training import by_unit
from prompt_tuning.simulation import Simulation
from prompt_tuning.spending import spent_by
from prompt_tuning.strategies import ServerState
from prompt_tuning.templates import TEMPLATES
from prompt_tuning.trainable import Prepared, Trainable
from server.evaluation.training.partition import Labelled

Tick = Callable[[str, int, int], None]
Scores = dict[str, Any]
"""`token_f1` and `exact_match`: one number a test question; `seconds` of training; `curve` of (seconds, loss)."""

_VALIDATION_PER_NODE = 8


@dataclass(slots=True, kw_only=True)
class Bench:
    """One model, one task, one way of splitting it, and the folder of finished results."""

    model: TransformersLanguageModel
    task: Labelled
    nodes: Mapping[str, Sequence[Example]]
    folder: Path
    embed: Callable[[Sequence[str]], FloatArray]
    tick: Tick
    inputs: FrozenInputs
    """Keys and values that all seeds and systems read."""
    retrieved: Sequence[Example] = ()
    """The test questions with passages found by the retriever instead of the gold ones."""

    def templates(self) -> dict[str, Scores]:
        """The best template by federated validation, and the bare default, on the test questions."""
        best = self.kept("../template-choice", self._sampled_ids(), self._choose_template)["best"]
        return {
            "zero_shot": self._told_result(Template()),
            "best_template": self._told_result(TEMPLATES[best]) | {"template": best},
        }

    def _told_result(self, template: Template) -> Scores:
        """What is written needs no seed: one result for all of them, beside their folders."""
        told = self._told(template)
        key = f"{self.task.name} {len(self.task.test)} {told.instruction} {told.examples}"
        return self.kept("../written", key, lambda: self._written(told))

    def _told(self, chosen: Template) -> Template:
        """The task's own instruction stands in for an empty one."""
        return Template(instruction=chosen.instruction or self.task.instruction, examples=chosen.examples)

    def _choose_template(self) -> Scores:
        """Every node scores every template on a few of its own examples; the mean over nodes decides."""
        scores: dict[str, float] = {}
        candidates = TEMPLATES if not self.task.instruction else {"default": TEMPLATES["default"]}
        for number, (name, template) in enumerate(candidates.items()):
            self.tick("templates", number, len(candidates))
            told = self._trainable_told(self._told(template))
            per_node = [_mean(self.score(None, told, sample)) for sample in self._validation()]
            scores[name] = sum(per_node) / len(per_node)
        return {"best": max(scores, key=lambda name: scores[name]), "validation": scores}

    def _validation(self) -> list[Sequence[Example]]:
        """A few examples of every node."""
        return [
            examples[:: max(1, len(examples) // _VALIDATION_PER_NODE)][:_VALIDATION_PER_NODE]
            for examples in self.nodes.values()
        ]

    def _sampled_ids(self) -> str:
        """Seeds that split the examples alike choose alike."""
        return " ".join(example.example_id for sample in self._validation() for example in sample)

    def _written(self, template: Template) -> Scores:
        trainable = self._trainable_told(template)
        found: Scores = {"gold": self.score(None, trainable, self.task.test)}
        if self.retrieved:
            found["retrieved"] = self.score(None, trainable, self.retrieved)
        return found

    def _trainable_told(self, template: Template) -> Trainable:
        """Only to lay out and answer: a method is needed, its weights are not used."""
        from prompt_tuning.methods import LoraSettings

        return Trainable(self.model, LoraSettings(), template, self.inputs)

    def federated(self, job: JobSettings) -> Scores:
        """The simulation, resumed after its last finished round."""
        return self.kept("federated", job.model_dump_json(), lambda: self._federate(job))

    def _federate(self, job: JobSettings) -> Scores:
        trainable, simulation = self._simulation(job)
        saved = self.folder / f"federated-{_digest(job.model_dump_json())}.state"
        state, curve = self._restored(saved) or (simulation.start(self.initial(trainable, job)), [])
        started = time.perf_counter() - (curve[-1][0] if curve else 0.0)
        for result in simulation.run(state):
            state = result.state
            curve.append((time.perf_counter() - started, result.metrics.get("loss", 0.0)))
            write_atomic(saved, msgspec.msgpack.encode((state.to_bytes(), curve)))
            self.tick("federated", state.round_num, job.rounds.number)
        return self._measured(state.weights, trainable, curve)

    def _simulation(self, job: JobSettings) -> tuple[Trainable, Simulation]:
        """Raises LedgerError when the job is over its privacy budget."""
        if job.privacy.mode != "record":
            trainable, nodes = self.prepared(job)
            rounds = spent_by(job, []).get("rounds", job.rounds.number)
            return trainable, Simulation(job, trainable, nodes, max_rounds=int(rounds))
        trainable = self._trainable(job)
        grouped = {name: by_unit(examples, job.objective) for name, examples in self.nodes.items()}
        spent_by(job, [len(units) for units in grouped.values()])
        units = {name: [self._prepare(trainable, unit) for unit in found] for name, found in grouped.items()}
        return trainable, Simulation(job, trainable, {}, units=units)

    def _restored(self, saved: Path) -> tuple[ServerState, list[tuple[float, float]]] | None:
        if not saved.is_file():
            return None
        content, curve = msgspec.msgpack.decode(saved.read_bytes(), type=tuple[bytes, list[tuple[float, float]]])
        return ServerState.from_bytes(content), curve

    def centralised(self, job: JobSettings) -> Scores:
        """All examples in one place, with as many examples seen as the federation saw."""
        pooled = [example for examples in self.nodes.values() for example in examples]
        steps = job.total_steps * len(self.nodes)
        key = f"{steps} {job.model_dump_json()}"
        return self.kept("centralised", key, lambda: self._alone("centralised", job, pooled, steps))

    def alone(self, name: str, job: JobSettings) -> Scores:
        """One node with its own examples, as many steps as it takes in the federation."""
        key = f"{name} {job.model_dump_json()}"
        return self.kept("alone", key, lambda: self._alone(name, job, self.nodes[name], job.total_steps))

    def _alone(self, name: str, job: JobSettings, examples: Sequence[Example], steps: int) -> Scores:
        trainable = self._trainable(job)
        prepared = self._prepare(trainable, examples)
        curve: list[tuple[float, float]] = []
        started = time.perf_counter()

        def on_step(step: int, loss: float) -> None:
            curve.append((time.perf_counter() - started, loss))
            self.tick(name, step, steps)

        settings = job.local.model_copy(update={"steps": steps})
        schedule = Schedule(first_step=0, total_steps=steps)
        trained = train(
            trainable, self.initial(trainable, job), prepared, settings, schedule, seed=job.seed, on_step=on_step
        )
        return self._measured(trained.weights, trainable, curve, retrieves=name == "centralised")

    def _trainable(self, job: JobSettings) -> Trainable:
        return Trainable(self.model, job.method, self._told(job.template), self.inputs)

    def prepared(self, job: JobSettings) -> tuple[Trainable, dict[str, list[Prepared]]]:
        """The job's method, and every node's examples with what is frozen of them."""
        trainable = self._trainable(job)
        return trainable, {name: self._prepare(trainable, examples) for name, examples in self.nodes.items()}

    def _prepare(self, trainable: Trainable, examples: Sequence[Example]) -> list[Prepared]:
        vectors = None
        if trainable.method.reads_vectors:
            vectors = list(self.embed([example.question for example in examples]))
        return trainable.prepare(
            examples, vectors=vectors, progress=lambda done, total: self.tick("frozen inputs", done, total)
        )

    def initial(self, trainable: Trainable, job: JobSettings) -> Weights:
        """The weights that the job starts from."""
        width = self.embed(["?"]).shape[1] if trainable.method.reads_vectors else 0
        return trainable.initial(seed=job.seed, vector_width=width)

    def _measured(
        self, weights: Weights, trainable: Trainable, curve: Sequence[tuple[float, float]], *, retrieves: bool = True
    ) -> Scores:
        found: Scores = {"seconds": curve[-1][0] if curve else 0.0, "curve": list(curve)}
        found["gold"] = self.score(weights, trainable, self.task.test)
        if self.retrieved and retrieves:
            found["retrieved"] = self.score(weights, trainable, self.retrieved)
        found["num_bytes"] = sum(value.nbytes for value in weights.values())
        return found

    def score(self, weights: Weights | None, trainable: Trainable, examples: Sequence[Example]) -> Scores:
        """Token F1 and exact match of every answer; None is the model as it is."""
        answers = trainable.answers(
            weights,
            trainable.lay_out(examples) if weights is None else self._prepare(trainable, examples),
            progress=lambda done, total: self.tick("answering", done, total),
        )
        pairs = [(answer, example.answers) for answer, example in zip(answers, examples, strict=True)]
        return {
            "token_f1": [token_f1(answer, golds) for answer, golds in pairs],
            "exact_match": [exact_match(answer, golds) for answer, golds in pairs],
        }

    def kept(self, name: str, key: str, make: Callable[[], Scores]) -> Scores:
        """The result from disk, or made now and written."""
        path = self.folder / f"{name}-{_digest(key)}.json"
        if path.is_file():
            kept: Scores = msgspec.json.decode(path.read_bytes())
            return kept
        made = make()
        write_atomic(path, msgspec.json.encode(made))
        return made


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def _mean(scores: Scores) -> float:
    return float(sum(scores["token_f1"]) / len(scores["token_f1"]))
