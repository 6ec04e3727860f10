"""The training process of a node: reads orders from standard input, works at low priority, reports on standard output.

It never speaks to the network. Ending it at any moment loses nothing but time: updates are written whole or not at all.
"""

import math
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from frag.answers.scoring import exact_match, token_f1
from frag.durable import write_private
from frag.errors import FragError, LedgerError, ModelError, NotFoundError
from frag.models import Kind, locate
from frag.privacy.draws import KEY_BYTES, SecretDraws
from frag.quantization import compress, decode
from frag.types import Adaptation
from frag.updates import Weights, difference
from prompt_tuning.adaptation_file import load_adaptation, save_adaptation
from prompt_tuning.job import JobSettings
from prompt_tuning.local_training import Remembered, Trained, train
from prompt_tuning.personal import personalise
from prompt_tuning.private_training import Mechanism, by_unit, train_privately
from prompt_tuning.rounds import node_seed, schedule
from prompt_tuning.strategies import make_strategy
from server.node.training.orders import (
    Done,
    Failure,
    JobExamples,
    Order,
    PersonalOrder,
    Said,
    Step,
    StoredExample,
    example_of,
)

if TYPE_CHECKING:
    from prompt_tuning.language_model import TransformersLanguageModel
    from prompt_tuning.trainable import Prepared

_NICENESS = 19
_MEMORY_BYTES = 2 << 30
_FILE_BYTES = 8 << 30


def main() -> None:
    """`python -m server.node.training.trainer MODEL THREADS`; ends when standard input does."""
    os.nice(_NICENESS)
    trainer = Trainer(sys.argv[1], int(sys.argv[2]))
    for line in sys.stdin.buffer:
        order: Order | PersonalOrder = msgspec.json.decode(line, type=Order | PersonalOrder)
        try:
            _say(trainer.carry_out(order))
        except FragError as error:
            _say(Failure(code=error.code, what=error.what))


def _say(said: Said) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
    sys.stdout.buffer.flush()


class Trainer:
    """Keeps the model, and what was prepared for the last job."""

    def __init__(self, model: str, threads: int) -> None:
        self._model_name = model
        self._threads = threads
        self._job_folder = ""
        self._job: _PreparedJob | None = None

    def carry_out(self, order: Order | PersonalOrder) -> Done:
        """One round of one job, or one personal version. Raises FragError when the model or the data do not fit."""
        if isinstance(order, PersonalOrder):
            return self._personal(order)
        job = self._prepared(order)
        weights = decode(Path(order.weights).read_bytes(), job.like, job.broadcast)
        metrics = job.evaluate(weights) if order.evaluate else {}
        num_examples = 0
        if order.train:
            num_examples, seen = job.train(order, weights)
            metrics |= seen
        return Done(num_examples=num_examples, metrics={k: v for k, v in metrics.items() if math.isfinite(v)})

    def _prepared(self, order: Order) -> "_PreparedJob":
        if self._job is None or self._job_folder != order.job_folder:
            self._job = _PreparedJob(Path(order.job_folder), self._model(order.base_model))
            self._job_folder = order.job_folder
        return self._job

    def _model(self, base_model: str) -> "TransformersLanguageModel":
        model = _load(self._model_name, self._threads)
        if model.fingerprint != base_model:
            raise ModelError("The job is for another base model.", "Use the job's model on this node.")
        return model

    def _personal(self, order: PersonalOrder) -> Done:
        """Prepared examples of a job are given up for it: what is kept of them fills the memory."""
        shared = load_adaptation(Path(order.shared).read_bytes())
        self._job, self._job_folder = None, ""
        job = _PreparedJob(Path(order.job_folder), self._model(shared.base_model))
        made, metrics = job.personalise(shared)
        write_private(Path(order.personal), save_adaptation(made))
        return Done(num_examples=job.num_examples, metrics=metrics)


@lru_cache(maxsize=1)
def _load(name: str, threads: int) -> "TransformersLanguageModel":
    from prompt_tuning.language_model import TransformersLanguageModel

    return TransformersLanguageModel(locate(name, Kind.LANGUAGE_MODEL), threads=threads)


class _PreparedJob:
    def __init__(self, folder: Path, model: "TransformersLanguageModel") -> None:
        from prompt_tuning.frozen_inputs import FrozenInputs
        from prompt_tuning.trainable import Trainable

        self._folder = folder
        self._settings = JobSettings.model_validate_json((folder / "job.json").read_bytes())
        inputs = FrozenInputs(model.forward, memory_bytes=_MEMORY_BYTES, file_bytes=_FILE_BYTES, folder=folder)
        self._trainable = Trainable(model, self._settings.method, self._settings.template, inputs)
        stored = msgspec.msgpack.decode((folder / "examples.msgpack").read_bytes(), type=JobExamples)
        known = stored.train or stored.held_out
        if not known:
            raise NotFoundError("The data set has no example to train on.")
        self._units = self._prepare_units(stored.train) if self._settings.privacy.mode == "record" else []
        by_examples = self._settings.method.kind != "template" and not self._units
        old = set(stored.old_ids)
        self._train = self._prepare([e for e in stored.train if e.example_id not in old]) if by_examples else []
        self._old = self._prepare([e for e in stored.train if e.example_id in old]) if by_examples else []
        stops_early = self._settings.local.validate_every > 0
        self._validation = self._prepare(stored.validation) if stops_early else []
        self._held_out = self._prepare(_measured(stored, self._settings))
        self._is_old = [e.example_id in old for e in _measured(stored, self._settings)]
        self.broadcast = self._settings.update.broadcast
        width = len(known[0].vector) // 4
        self.like: Weights = self._trainable.initial(seed=self._settings.seed, vector_width=width)

    def _prepare(self, stored: Sequence[StoredExample]) -> "list[Prepared]":
        vectors = [np.frombuffer(e.vector, dtype="<f4") for e in stored]
        return self._trainable.prepare([example_of(e) for e in stored], self._settings.objective, vectors)

    def _prepare_units(self, stored: Sequence[StoredExample]) -> "list[list[Prepared]]":
        units = by_unit(map(example_of, stored), self._settings.objective)
        vectors = {e.example_id: np.frombuffer(e.vector, dtype="<f4") for e in stored}
        given = [[vectors[example.example_id] for example in unit] for unit in units]
        return self._trainable.prepare_units(units, self._settings.objective, given)

    @property
    def num_examples(self) -> int:
        """Examples that are trained on."""
        return len(self._train)

    def personalise(self, shared: Adaptation) -> tuple[Adaptation, dict[str, float]]:
        """The node's own version, and how it does: `gain`, and `share` of what was learnt here.

        Raises:
            NotFoundError: There are too few examples to choose and to judge by.
            ModelError: The shared weights are not those of the job's method.
        """
        if not (self._validation and self._held_out):
            raise NotFoundError("There are too few examples to choose and to judge by.")
        if {n: w.shape for n, w in shared.tensors.items()} != {n: w.shape for n, w in self.like.items()}:
            raise ModelError("The shared prompt's tensors are not those of its method.", "Train it again.")
        steps = self._settings.local.steps
        found = personalise(
            self._trainable,
            dict(shared.tensors),
            self._train,
            chooses=self._validation,
            judges=self._held_out,
            settings=self._settings.local,
            seed=self._settings.seed,
            on_step=lambda step, loss: _say(Step(step=step, num_steps=steps, loss=loss)),
        )
        made = replace(shared, tensors=found.weights, epsilon=math.inf, delta=0.0)
        return made, {"gain": found.gain, "share": found.share}

    def evaluate(self, weights: Weights) -> dict[str, float]:
        """Loss, and for questions token F1 and exact match, on the node's held-out share."""
        if not self._held_out:
            return {}
        metrics = {"held_out_loss": self._trainable.loss_of(weights, self._held_out)}
        asked = [example for example in self._held_out if example.golds]
        if asked:
            answers = self._trainable.answers(weights, asked, max_new_tokens=self._settings.evaluation.max_new_tokens)
            pairs = [(answer, example.golds) for answer, example in zip(answers, asked, strict=True)]
            metrics["held_out_f1"] = float(np.mean([token_f1(*pair) for pair in pairs]))
            metrics["held_out_em"] = float(np.mean([exact_match(*pair) for pair in pairs]))
            if self._settings.standing is not None:
                metrics |= self._by_side(pairs)
        return metrics

    def _by_side(self, pairs: Sequence[tuple[str, tuple[str, ...]]]) -> dict[str, float]:
        """F1 on what earlier runs have met and on what has come since, and of how many examples."""
        found: dict[str, float] = {}
        for side, is_old in (("old", True), ("new", False)):
            if scores := [token_f1(*pair) for pair, old in zip(pairs, self._is_old, strict=True) if old == is_old]:
                found |= {f"held_out_f1_{side}": float(np.mean(scores)), f"held_out_n_{side}": float(len(scores))}
        return found

    def train(self, order: Order, weights: Weights) -> tuple[int, dict[str, float]]:
        """Trains, and writes the update and what its rounding lost."""
        job = self._settings
        trained = self._train_privately(order, weights) if self._units else self._train_openly(order, weights)
        before = self._folder / f"residual-{order.round_num}.safetensors"
        residual = decode(before.read_bytes(), self.like) if before.is_file() else None
        content, lost = compress(difference(trained.weights, weights), residual, job.update.encoding)
        if any(value.any() for value in lost.values()):
            from frag.quantization import encode

            write_private(self._folder / f"residual-{order.round_num + 1}.safetensors", encode(lost))
        write_private(Path(order.update), content)
        # masked sums need the weight that is the same for all at its finest
        num_examples = job.equal_weight if self._units else trained.num_examples
        return num_examples, dict(trained.metrics)

    def _train_openly(self, order: Order, weights: Weights) -> Trained:
        job = self._settings
        num_steps = job.local.steps
        if not (self._train or self._old):
            raise NotFoundError("The data set has no example to train on that is new.")
        return train(
            self._trainable,
            weights,
            self._train,
            job.local,
            schedule(job, order.round_num),
            seed=node_seed(job, order.round_num, order.node_id),
            proximal_mu=make_strategy(job.strategy).proximal_mu,
            validation=self._validation,
            remembered=self._remembered(order),
            on_step=lambda step, loss: _say(Step(step=step, num_steps=num_steps, loss=loss)),
        )

    def _remembered(self, order: Order) -> Remembered:
        """What keeps a run of a standing job from forgetting. The anchor is what the run began with here."""
        standing = self._settings.standing
        if standing is None:
            return Remembered()
        path = self._folder / "anchor"
        if standing.anchor and not path.is_file():
            write_private(path, Path(order.weights).read_bytes())
        anchor = decode(path.read_bytes(), self.like, self.broadcast) if standing.anchor else {}
        return Remembered(old=self._old, share=standing.replay, anchor=anchor, anchor_mu=standing.anchor)

    def _train_privately(self, order: Order, weights: Weights) -> Trained:
        """Says nothing of its steps: how long one takes tells how many units took part."""
        job = self._settings
        if len(order.key) != 2 * KEY_BYTES:
            raise LedgerError("A private round has come without its key.")
        return train_privately(
            self._trainable,
            weights,
            self._units,
            job.local,
            schedule(job, order.round_num),
            mechanism=Mechanism.of(job, order.num_units),
            draws=SecretDraws(bytes.fromhex(order.key)),
            proximal_mu=make_strategy(job.strategy).proximal_mu,
        )


def _measured(stored: JobExamples, job: JobSettings) -> list[StoredExample]:
    """The held-out examples; of a standing job up to the limit of the old and of the new."""
    limit = job.evaluation.max_examples
    if job.standing is None:
        return stored.held_out[:limit]
    old = set(stored.old_ids)
    sides = ([e for e in stored.held_out if (e.example_id in old) == is_old] for is_old in (True, False))
    return [example for side in sides for example in side[:limit]]


if __name__ == "__main__":
    main()
