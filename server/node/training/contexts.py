"""Examples joined with passages: the given ones, those that the node's own retriever finds, or none.

Negatives are questions with a passage that does not hold the answer; the right completion says that nothing was found,
so that a node learns to abstain when the evidence lies elsewhere.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from frag.answers.abstention import NO_ANSWER
from frag.protocols import FloatArray
from frag.sampling import derive_seed
from prompt_tuning.dataset import Example, Objective
from prompt_tuning.job import JobSettings
from server.node.training.orders import StoredExample

LookUp = Callable[[str, int], Sequence[str]]
"""(question, number) to the texts of the best passages, best first."""

_CANDIDATES = 10


def join_passages(examples: Sequence[Example], job: JobSettings, look_up: LookUp) -> list[Example]:
    """The examples as the job wants them; the same seed chooses the same negatives."""
    if job.objective is Objective.CAUSAL_LM:
        return list(examples)
    chosen = random.Random(derive_seed(job.seed, "negatives"))  # noqa: S311 - reproducible on purpose
    return [
        _negative(example, look_up) if chosen.random() < job.context.negatives else _joined(example, job, look_up)
        for example in examples
    ]


def stored_examples(
    job: JobSettings, examples: Sequence[Example], embed: Callable[[Sequence[str]], FloatArray]
) -> list[StoredExample]:
    """The examples as the training process reads them, with question vectors where the method wants them."""
    vectors: Sequence[bytes] = [b""] * len(examples)
    if job.method.kind == "generator" and examples:
        found = embed([example.question for example in examples])
        vectors = [row.astype("<f4").tobytes() for row in np.asarray(found)]
    return [
        StoredExample(
            example_id=e.example_id,
            question=e.question,
            answers=e.answers,
            passages=e.passages,
            text=e.text,
            group=e.group,
            vector=vector,
            unit=e.unit,
        )
        for e, vector in zip(examples, vectors, strict=True)
    ]


def _joined(example: Example, job: JobSettings, look_up: LookUp) -> Example:
    if job.context.source == "none":
        return replace(example, passages=())
    if job.context.source == "retrieved":
        return replace(example, passages=tuple(look_up(example.question, job.context.num_passages)))
    return replace(example, passages=example.passages[: job.context.num_passages])


def _negative(example: Example, look_up: LookUp) -> Example:
    """The best passage without any of the right answers; where there is none, no passage at all."""
    golds = [answer.casefold() for answer in example.answers]
    found = look_up(example.question, _CANDIDATES)
    without = [text for text in found if not any(gold in text.casefold() for gold in golds)]
    return replace(example, passages=tuple(without[:1]), answers=(NO_ANSWER,))
