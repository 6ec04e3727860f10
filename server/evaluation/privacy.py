"""`frag eval privacy`: what each answer mode costs in quality and time, and how that depends on ε and on who votes.

The nodes' own parts run in this process, one silo after the other, so that a time is that of one node with the machine
to itself.
"""

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from frag.answers import make_aggregator
from frag.answers.consensus import agree
from frag.durable import write_atomic
from frag.models import Kind, locate
from frag.policy_settings import CollectionSettings, DpSettings, PolicySettings
from frag.privacy.dp_decoding import DecodingRule
from frag.privacy.patterns import PatternRedactor
from frag.privacy.pii import PresidioRedactor
from frag.privacy.redaction_cache import RedactionCache
from frag.protocols import Embedder, LanguageModel, PrivateLanguageModel
from frag.settings import ModelSettings
from frag.types import AnswerMode, Document, GenerationRequest, NodeAnswer, RetrievalMode
from retrievers.store import DocumentStore
from server.coordinator.embedding import cosines
from server.evaluation.datasets import Dataset, LabelledQuestion, sample_questions, split_into_silos
from server.evaluation.measures import f1_scores, interval_95
from server.evaluation.run import Tick
from server.node.answering import NodeAnswering
from server.node.assembly import inference_worker, load_embedder
from server.node.inference import InferenceWorker
from server.node.masking import Masking
from server.node.policy import NodePolicy
from server.node.private_answering import best_passages, decoding_rule
from server.wire.messages import Ask

_NOTES = "documents"
_FILTERS = (AnswerMode.NONE, AnswerMode.SCRUB, AnswerMode.CONSENSUS)
_MIN_SUPPORT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyPlan:
    """What to run.

    Attributes:
        dataset: All documents; `num_questions` of its questions are asked in every setting.
        num_silos: Nodes.
        epsilons: Budgets; infinite for no bound at all.
        answers: Questions that a budget is for.
        units: Numbers of units that hold the same right paragraph, at one node.
    """

    dataset: Dataset
    num_silos: int
    num_questions: int
    epsilons: tuple[float, ...] = (1.0, 4.0, 8.0, math.inf)
    answers: tuple[int, ...] = (1, 10)
    units: tuple[int, ...] = (1, 8, 32)
    seed: int = 0


async def evaluate_privacy(plan: PrivacyPlan, tick: Tick, file: Path | None = None) -> dict[str, Any]:
    """Runs every setting and returns the report as JSON types; goes on from `file`, which is kept up to date."""
    asked = sample_questions(plan.dataset, plan.num_questions, plan.seed).questions
    header = {"dataset": plan.dataset.name, "silos": plan.num_silos, "questions": len(asked), "seed": plan.seed}
    report = _begun(file, header)
    async with AsyncExitStack() as stack:
        bench = await _open(plan, stack)
        for name, run in _settings(plan, bench):
            if name in report["settings"]:
                continue
            report["settings"][name] = await _measure(run, asked, partial(tick, name))
            if file is not None:
                await asyncio.to_thread(write_atomic, file, json.dumps(report, indent=1).encode())
    return report


def _begun(file: Path | None, header: Mapping[str, Any]) -> dict[str, Any]:
    if file is not None and file.exists():
        found: dict[str, Any] = json.loads(file.read_text())
        if found["header"] == header:
            return found
    return {"header": dict(header), "settings": {}}


Run = Callable[[LabelledQuestion], Any]
"""Answers one question: a coroutine of (text or None, seconds of each node)."""


async def _measure(run: Run, asked: Sequence[LabelledQuestion], tick: Callable[[int, int], None]) -> dict[str, Any]:
    texts: list[str | None] = []
    seconds: list[float] = []
    for number, question in enumerate(asked):
        text, taken = await run(question)
        texts.append(text)
        seconds.append(max(taken))
        tick(number + 1, len(asked))
    scores = f1_scores(texts, asked)
    return {
        "token_f1": round(float(np.mean(scores)), 4),
        "interval_95": interval_95(scores),
        "answered": round(float(np.mean([bool(text) for text in texts])), 4),
        "slowest_node_p50_s": round(float(np.median(seconds)), 3),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """The parts of all nodes: one model, one index a silo."""

    worker: InferenceWorker
    embedder: Embedder
    stores: Mapping[str, DocumentStore]
    nodes: Mapping[str, NodeAnswering]
    documents: Mapping[str, Document]
    workers: ThreadPoolExecutor


async def _open(plan: PrivacyPlan, stack: AsyncExitStack) -> _Bench:
    models = ModelSettings(threads=1)
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="frag-eval-")))
    workers = stack.enter_context(ThreadPoolExecutor(2))
    embedder = await asyncio.to_thread(load_embedder, models)
    silos = split_into_silos(plan.dataset, plan.num_silos, plan.seed)
    stores = {name: DocumentStore.open(folder / name, embedder) for name in silos}
    for name, documents in silos.items():
        await asyncio.to_thread(stores[name].ingest, documents)
        stack.callback(stores[name].close)
    worker = await stack.enter_async_context(inference_worker(models))
    policy = PolicySettings(answer_modes=_FILTERS, questions_per_minute=1_000_000)
    redactor = await asyncio.to_thread(PresidioRedactor, locate(models.ner, Kind.NER), policy.entity_types)
    nodes = {
        name: NodeAnswering(
            node_id=name,
            policy=NodePolicy(policy, [CollectionSettings(name=_NOTES, folder=folder)]),
            rules=policy,
            models=models,
            stores={_NOTES: store},
            embedder=embedder,
            worker=worker,
            masking=Masking(
                passages=RedactionCache.open(folder / name / "redactions.db", redactor, "evaluation"),
                answers=redactor,
                patterns=PatternRedactor(policy.entity_types),
            ),
            workers=workers,
            alias_key=b"evaluation",
        )
        for name, store in stores.items()
    }
    return _Bench(
        worker=worker,
        embedder=embedder,
        stores=stores,
        nodes=nodes,
        documents={d.document_id: d for documents in silos.values() for d in documents},
        workers=workers,
    )


def _settings(plan: PrivacyPlan, bench: _Bench) -> list[tuple[str, Run]]:
    """Every setting by its name, the cheap ones first."""
    found: list[tuple[str, Run]] = [(str(mode), _filtered(bench, mode)) for mode in _FILTERS]
    rules = _rules(plan)
    found += [(f"dp {name}", _federated(bench, rule)) for name, rule in rules.items()]
    for number in plan.units:
        found += [(f"dp {name}, {number} units agree", _agreeing(bench, rule, number)) for name, rule in rules.items()]
    return found


def _rules(plan: PrivacyPlan) -> dict[str, DecodingRule]:
    rules: dict[str, DecodingRule] = {}
    for epsilon in plan.epsilons:
        if math.isinf(epsilon):
            rules["unbounded"] = DecodingRule(
                clip=1e6, references=DpSettings().references, num_tokens=DpSettings().tokens
            )
            continue
        for answers in plan.answers:
            settings = DpSettings(epsilon=epsilon, questions=answers)
            rules[f"ε={epsilon:g} for {answers}"] = decoding_rule(settings)
    return rules


def _filtered(bench: _Bench, mode: AnswerMode) -> Run:
    async def run(question: LabelledQuestion) -> tuple[str | None, list[float]]:
        replies, seconds = [], []
        for node in bench.nodes.values():
            started = time.perf_counter()
            replies.append(await node.answer(_ask(question, mode)))
            seconds.append(time.perf_counter() - started)
        if mode is AnswerMode.CONSENSUS:
            found = await asyncio.to_thread(agree, replies, {}, _MIN_SUPPORT, partial(cosines, bench.embedder))
            return found.text or None, seconds
        return await _merged(question, replies, "best"), seconds

    return run


def _ask(question: LabelledQuestion, mode: AnswerMode) -> Ask:
    return Ask(
        request_id=1,
        question=question.text,
        top_k=5,
        answer_mode=mode,
        retrieval=RetrievalMode.DENSE,
        retrieve_only=False,
        deadline_s=600.0,
    )


def _federated(bench: _Bench, rule: DecodingRule) -> Run:
    """Every node answers, whether it has voters or not, and the answer nearest to the others is taken."""

    async def run(question: LabelledQuestion) -> tuple[str | None, list[float]]:
        replies, seconds = [], []
        vector = bench.embedder.embed([question.text])[0]
        for name, store in bench.stores.items():
            started = time.perf_counter()
            found = store.matches(vector, DpSettings().min_evidence)
            units = best_passages([(CollectionSettings(name=_NOTES, folder=Path()), found)])
            text = await _write(bench, question, [unit.text for unit in units], rule)
            seconds.append(time.perf_counter() - started)
            replies.append(NodeAnswer(node_id=name, mode=AnswerMode.DP, text=text or "–", score=0.5))
        return await _merged(question, replies, "medoid"), seconds

    return run


def _agreeing(bench: _Bench, rule: DecodingRule, number: int) -> Run:
    """One node where `number` units hold the right paragraph, each under a heading of its own."""

    async def run(question: LabelledQuestion) -> tuple[str | None, list[float]]:
        text = bench.documents[question.document_id].text
        started = time.perf_counter()
        answer = await _write(bench, question, [f"Record {unit}. {text}" for unit in range(number)], rule)
        return answer, [time.perf_counter() - started]

    return run


async def _write(bench: _Bench, question: LabelledQuestion, passages: Sequence[str], rule: DecodingRule) -> str:
    def work(model: LanguageModel) -> str:
        if not isinstance(model, PrivateLanguageModel):
            raise TypeError("the built-in model decodes privately")
        return model.write_privately(GenerationRequest(question=question.text), passages, rule, lambda: False, None)

    return await bench.worker.call(work)


async def _merged(question: LabelledQuestion, replies: Sequence[NodeAnswer], method: str) -> str | None:
    released = [reply for reply in replies if reply.text and not reply.withheld]
    return (await make_aggregator(method).aggregate(question.text, released)).text if released else None
