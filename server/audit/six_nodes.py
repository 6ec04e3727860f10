"""Six nodes, of which some are evil: what each one replies, and what the coordinator makes of it."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from frag.answers import make_aggregator
from frag.answers.consensus import agree
from frag.protocols import Aggregator, Embedder, LanguageModel, Similarity
from frag.types import AnswerMode, Generation, GenerationRequest, NodeAnswer
from server.audit.poisoned_questions import NUM_PASSAGES, PoisonedQuestion
from server.audit.silo import ask_all, open_silo
from server.coordinator.embedding import cosines

NUM_HONEST = 5
Merge = Callable[[str, Sequence[NodeAnswer]], Awaitable[str]]
"""Question and replies to the federation's answer; blank for none."""
Write = Callable[[GenerationRequest], Awaitable[Generation]]
Replies = list[list[NodeAnswer]]
"""One list of replies for each question."""


async def honest_replies(
    questions: Sequence[PoisonedQuestion],
    support: int,
    threads: int,
    model: Callable[[], LanguageModel] | None,
    on_answer: Callable[[], None],
) -> Replies:
    """Five honest nodes; each question's evidence lies at `support` of them, in different words."""
    by_node = [
        await _ask(f"honest-{node}", documents, questions, threads, model, on_answer)
        for node, documents in enumerate(_spread(questions, support))
    ]
    return [list(replies) for replies in zip(*by_node, strict=True)]


async def poisoned_replies(
    questions: Sequence[PoisonedQuestion],
    threads: int,
    model: Callable[[], LanguageModel] | None,
    on_answer: Callable[[], None],
) -> list[NodeAnswer]:
    """One node whose documents say the wrong answer to every question, five times; its software is the usual one."""
    documents = {
        f"q{number}-{place}": text
        for number, item in enumerate(questions)
        for place, text in enumerate(item.false_passages)
    }
    return await _ask("evil", documents, questions, threads, model, on_answer)


def lie(text: str) -> NodeAnswer:
    """What a node replies that does not run this software: any text, with full confidence."""
    return NodeAnswer(node_id="evil", mode=AnswerMode.NONE, text=text, score=1.0)


def again(reply: NodeAnswer, node_id: str) -> NodeAnswer:
    """The same from another node."""
    return replace(reply, node_id=node_id)


def merges(embedder: Embedder, write: Write | None) -> dict[str, Merge]:
    """How an answer is made of replies, by name. `synthesize` only where there is a language model."""
    similarity = partial(cosines, embedder)
    methods = ["best", "vote", "medoid", *(["synthesize"] if write else [])]
    found: dict[str, Merge] = {
        name: partial(_aggregated, make_aggregator(name, similarity=similarity, write=write)) for name in methods
    }
    for min_support in (2, 3):
        found[f"consensus, k = {min_support}"] = partial(_agreed, similarity, min_support)
    return found


def _spread(questions: Sequence[PoisonedQuestion], support: int) -> list[Mapping[str, str]]:
    """Documents of each honest node."""
    nodes: list[dict[str, str]] = [{} for _ in range(NUM_HONEST)]
    for number, item in enumerate(questions):
        for copy in range(min(support, NUM_PASSAGES)):
            nodes[(number + copy) % NUM_HONEST][f"q{number}"] = item.true_passages[copy]
    return list(nodes)


async def _ask(
    node_id: str,
    documents: Mapping[str, str],
    questions: Sequence[PoisonedQuestion],
    threads: int,
    model: Callable[[], LanguageModel] | None,
    on_answer: Callable[[], None],
) -> list[NodeAnswer]:
    mode = AnswerMode.NONE  # what redaction changes is another attack's figure
    with tempfile.TemporaryDirectory(prefix="frag-audit-") as folder:
        async with open_silo(Path(folder), documents, mode, threads=threads, model=model) as answering:
            replies = await ask_all(answering, [item.question for item in questions], mode, on_answer)
    return [again(reply, node_id) for reply in replies]


async def _aggregated(aggregator: Aggregator, question: str, replies: Sequence[NodeAnswer]) -> str:
    given = [reply for reply in replies if reply.text and not reply.withheld]
    return (await aggregator.aggregate(question, given)).text if given else ""


async def _agreed(similarity: Similarity, min_support: int, question: str, replies: Sequence[NodeAnswer]) -> str:
    del question
    return (await asyncio.to_thread(agree, replies, {}, min_support, similarity)).text
