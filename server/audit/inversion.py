"""Gradient inversion: which answer tokens can be read off an update of the default method, LoRA with a public A.

The attacker is told how many distinct tokens there are, sees one optimiser step from untrained weights (its best case:
nodes take 20 by default), and is measured on the raw gradient too, which no node sends.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from frag.protocols import Progress
from frag.sampling import derive_seed
from frag.settings import ModelSettings
from frag.updates import Update, Weights, difference
from prompt_tuning.dataset import Example, make_example, read_squad
from prompt_tuning.job import JobSettings
from prompt_tuning.local_training import LocalSettings, Schedule, train
from prompt_tuning.methods.settings import LoraSettings
from prompt_tuning.rounds import Round
from prompt_tuning.strategies import make_strategy
from server.audit.membership import make_records
from server.audit.report import AuditSettings, Interval, Outcome, Report, Verdict
from server.audit.statistics import wilson
from server.audit.token_recovery import SpanAttack, best_tokens, num_recovered
from server.node.assembly import load_language_model

if TYPE_CHECKING:
    from prompt_tuning.trainable import Prepared, Trainable

SUM_OF = 3
_KNOWN_END = 1


@dataclass(slots=True)
class Tally:
    """Right guesses and distinct tokens, over all victims of one batch size."""

    right: int = 0
    by_prior: int = 0
    tokens: int = 0
    by_chance: float = 0.0

    def add(self, guesses: Sequence[int], prior: Sequence[int], truth: set[int], vocabulary: int) -> None:
        self.right += num_recovered(guesses, truth)
        self.by_prior += num_recovered(prior[: len(truth)], truth)
        self.tokens += len(truth)
        self.by_chance += len(truth) ** 2 / vocabulary


@dataclass(slots=True)
class Inversion:
    """Victims of one batch size after the other, attacked alone and three together."""

    trainable: "Trainable"
    attack: SpanAttack
    known: set[int]
    prior: Sequence[int]
    vocabulary: int
    tallies: dict[tuple[str, int], Tally] = field(default_factory=dict)

    def play(self, nodes: Sequence[Sequence["Prepared"]], on_node: Callable[[], None]) -> None:
        """Each of `nodes` trains on its batch; then each three are summed."""
        weights = self.trainable.initial(seed=0)
        size, updates = len(nodes[0]), []
        for batch in nodes:
            truth = self._truth(batch)
            self._count("gradient", size, gradient(self.trainable, weights, batch), truth)
            updates.append(one_step(self.trainable, weights, batch))
            self._count("update, plain", size, updates[-1], truth)
            on_node()
        for start in range(0, len(nodes) - SUM_OF + 1, SUM_OF):
            together = [token for batch in nodes[start : start + SUM_OF] for token in self._truth(batch)]
            total = securely_summed(weights, updates[start : start + SUM_OF], size)
            self._count(f"update, secure sum of {SUM_OF}", size, total, set(together))

    def _truth(self, batch: Sequence["Prepared"]) -> set[int]:
        """Distinct answer tokens that the trained part reads; the end token is never read."""
        return {token for example in batch for token in example.answer_ids[:-_KNOWN_END]} - self.known

    def _count(self, mode: str, size: int, update: Weights, truth: set[int]) -> None:
        guesses = best_tokens(self.attack.scores(update), len(truth), self.known)
        self.tallies.setdefault((mode, size), Tally()).add(guesses, self.prior, truth, self.vocabulary)


def gradient(trainable: "Trainable", weights: Weights, batch: Sequence["Prepared"]) -> Weights:
    """Of the mean loss over the batch, as training computes it before the optimiser."""
    import torch

    tensors = {name: torch.from_numpy(np.array(weight)).requires_grad_() for name, weight in weights.items()}
    loss = trainable.summed_loss(tensors, batch) / sum(example.num_labels for example in batch)
    torch.autograd.backward(loss)
    return {n: np.zeros(t.shape, np.float32) if t.grad is None else t.grad.numpy() for n, t in tensors.items()}


def one_step(trainable: "Trainable", weights: Weights, batch: Sequence["Prepared"]) -> Weights:
    """The update that a node would send after one step of its whole batch."""
    settings = LocalSettings(steps=1, batch_size=len(batch))
    trained = train(trainable, weights, batch, settings, Schedule(first_step=0, total_steps=1), seed=0)
    return difference(trained.weights, weights)


def securely_summed(weights: Weights, updates: Sequence[Weights], num_examples: int) -> Weights:
    """What the coordinator learns of a round in mode `secagg`: the weights after it."""
    job = JobSettings.model_validate({"name": "audit", "dataset": "none", "aggregation": {"mode": "secagg"}})
    current = Round(job, make_strategy(job.strategy).init(weights), len(updates))
    for number, delta in enumerate(updates):
        current.offer(Update(node_id=f"n{number}", round_num=0, delta=delta, num_examples=num_examples))
    return difference(current.finish().state.weights, weights)


def run(settings: AuditSettings, progress: Progress) -> Report:
    """Batches of 1, 4 and 16 questions with their passages."""
    from prompt_tuning.language_model import TransformersLanguageModel
    from prompt_tuning.trainable import Trainable

    model = load_language_model(ModelSettings(threads=settings.threads))
    if not isinstance(model, TransformersLanguageModel):
        raise TypeError(f"{model.name} cannot be trained")
    lora = LoraSettings()
    trainable = Trainable(model, lora)
    sizes, num_nodes = ((1,), SUM_OF) if settings.quick else ((1, 4, 16), 4 * SUM_OF)
    examples = _examples(settings, num_nodes * max(sizes) + 100)
    done = num_nodes * max(sizes)
    total = done + num_nodes * len(sizes)
    prepared = trainable.prepare(examples[:done], progress=lambda ready, of: progress(ready * done // of, total))

    def on_node() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    known = {example.divided.live[-1] for example in prepared if example.divided.live}
    inversion = Inversion(
        trainable=trainable,
        attack=SpanAttack(model, lora.rank, known),
        known=known,
        prior=_prior(trainable, examples, known),
        vocabulary=len(model.forward.weights()["model.embed_tokens.weight"]),
    )
    for size in sizes:
        inversion.play([prepared[size * n : size * (n + 1)] for n in range(num_nodes)], on_node)
    return _report(inversion)


def _examples(settings: AuditSettings, number: int) -> list[Example]:
    file = settings.data / "xquad" / "xquad.en.json" if settings.data else None
    if file is not None and file.is_file():
        found = read_squad(file)
        random.Random(derive_seed(settings.seed, "examples")).shuffle(found)  # noqa: S311 - the attacker's dice
        return found[:number]
    return [
        make_example(question=record.question, answers=(record.rare,), passages=(record.text,))
        for record in make_records(number, settings.seed)
    ]


def _prior(trainable: "Trainable", examples: Sequence[Example], known: set[int]) -> list[int]:
    """Tokens by how often they stand in answers of others: what can be guessed without any update."""
    counts = Counter(token for example in trainable.lay_out(examples[-100:]) for token in example.answer_ids[:-1])
    return [token for token, _ in counts.most_common() if token not in known]


def _report(inversion: Inversion) -> Report:
    outcomes = []
    for mode in dict.fromkeys(mode for mode, _ in inversion.tallies):
        figures, intervals = _of_mode(mode, inversion.tallies)
        outcomes.append(Outcome(mode=mode, figures=figures, intervals=intervals, verdict=Verdict.MEASURED))
    notes = [
        "answer tokens alone: the trained part reads no other; the attacker is told how many distinct ones there are",
        "one optimiser step from untrained weights; in the secure sum any token of the three nodes counts as a hit",
        "this is one attack, on the default method: stronger ones may recover more",
    ]
    return Report(attack="inversion", outcomes=outcomes, notes=notes)


def _of_mode(mode: str, tallies: Mapping[tuple[str, int], Tally]) -> tuple[dict[str, float], dict[str, Interval]]:
    figures: dict[str, float] = {}
    intervals: dict[str, Interval] = {}
    for (name, size), tally in tallies.items():
        if name == mode:
            figures[f"f1, batch {size}"] = tally.right / tally.tokens
            intervals[f"f1, batch {size}"] = wilson(tally.right, tally.tokens)
            figures[f"f1 of frequent tokens, batch {size}"] = tally.by_prior / tally.tokens
            figures[f"f1 of random tokens, batch {size}"] = tally.by_chance / tally.tokens
    return figures, intervals
