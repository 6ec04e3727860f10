"""`frag eval rag`: federated against pooled (the centralised upper bound) and against each silo alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from frag.answers import make_aggregator
from frag.types import AnswerMode, NodeAnswer, RetrievalMode
from server.evaluation.datasets import Dataset, LabelledQuestion, sample_questions, split_into_silos
from server.evaluation.measures import (
    Citations,
    answer_quality,
    f1_scores,
    interval_95,
    percentiles,
    rank_documents,
    recalls,
)
from server.evaluation.run import Recorded, System, Tick, ask_all, rank_all, running

_OFFLINE_METHODS = ("best", "vote", "medoid")
"""Merged again from the recorded node answers; `synthesize` needs the coordinator's model and is asked live."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RagPlan:
    """What to run. `num_answers` is the sample that is generated for; 0 is retrieval only."""

    dataset: Dataset
    num_silos: int
    num_answers: int
    seed: int = 0
    concurrency: int = 4
    answer_mode: AnswerMode = AnswerMode.NONE
    num_synthesized: int = 0


async def evaluate_rag(plan: RagPlan, tick: Tick, folder: Path | None = None) -> dict[str, Any]:
    """Runs both systems one after the other and returns the report as JSON types.

    The figures of a silo alone come from its own part of the federated replies: a node searches and answers without
    regard to who else was asked.

    Raises:
        BadRequestError: The data set has fewer natural silos than the plan.
        EvaluationError: A question failed.
    """
    silos = split_into_silos(plan.dataset, plan.num_silos, plan.seed)
    pooled = {"pooled": [document for documents in silos.values() for document in documents]}
    with TemporaryDirectory(prefix="frag-eval-") as temporary:
        base = folder or Path(temporary)
        generate = plan.num_answers > 0
        async with running(base / "federated", silos, generate=generate, tick=tick) as system:
            report = await _federated(plan, system, list(silos), tick)
        async with running(base / "pooled", pooled, generate=generate, tick=tick) as system:
            report |= {"pooled": await _pooled(plan, system, tick)}
    return _header(plan, silos) | report


def _header(plan: RagPlan, silos: Mapping[str, Sequence[object]]) -> dict[str, Any]:
    return {
        "dataset": plan.dataset.name,
        "num_documents": plan.dataset.num_documents,
        "num_questions": len(plan.dataset.questions),
        "num_answer_questions": len(_answer_questions(plan)),
        "answer_mode": str(plan.answer_mode),
        "seed": plan.seed,
        "documents_by_silo": {name: len(documents) for name, documents in silos.items()},
    }


def _answer_questions(plan: RagPlan) -> Sequence[LabelledQuestion]:
    return sample_questions(plan.dataset, plan.num_answers, plan.seed).questions if plan.num_answers else []


async def _federated(plan: RagPlan, system: System, names: Sequence[str], tick: Tick) -> dict[str, Any]:
    questions = plan.dataset.questions
    bytes_before = system.meter.num_bytes
    rows: dict[str, dict[str, Any]] = {name: {} for name in ("federated", *names)}
    latency: dict[str, float] = {}
    for mode in (RetrievalMode.HYBRID, RetrievalMode.DENSE):
        recorded, cited = await rank_all(system, questions, mode, concurrency=plan.concurrency, tick=tick)
        latency = percentiles(recorded.latencies_s)
        for name, row in rows.items():
            row[str(mode)] = recalls([_ranking(by_node, name) for by_node in cited], questions)
    for row in rows.values():
        row.update(row["dense"], exact_match=None, token_f1=None)
    report: dict[str, Any] = {"retrieval_latency_s": latency, "latency_s": latency}
    if plan.num_answers:
        report |= await _answers(plan, system, rows, tick)
    num_asked = 2 * len(questions) + report.get("num_generated", 0)
    wire_bytes = system.meter.num_bytes - bytes_before
    return report | {
        "federated": rows.pop("federated"),
        "silos": rows,
        "wire_bytes": wire_bytes,
        "wire_bytes_per_question": round(wire_bytes / num_asked),
    }


def _ranking(by_node: Mapping[str, Citations], name: str) -> list[str]:
    """All nodes merged by cosine for `federated`, else one node's own."""
    nodes = by_node.values() if name == "federated" else [by_node.get(name, [])]
    return rank_documents([citation for citations in nodes for citation in citations])


async def _answers(plan: RagPlan, system: System, rows: Mapping[str, dict[str, Any]], tick: Tick) -> dict[str, Any]:
    """Generates in the plan's mode and under `scrub`; fills the rows, returns what belongs to the whole."""
    questions = _answer_questions(plan)
    recorded = await _ask(plan, system, questions, plan.answer_mode, "answers", tick)
    for name, row in rows.items():
        row.update(answer_quality([_answer_of(response, name) for response in recorded.responses], questions))
    num_generated = len(questions)
    report: dict[str, Any] = {
        "latency_s": percentiles(recorded.latencies_s),
        "aggregation": await _merged_again(recorded, questions),
    }
    if plan.num_synthesized:
        some = questions[: plan.num_synthesized]
        live = await ask_all(
            system, some, concurrency=plan.concurrency, tick=tick, what="synthesize",
            answer_mode=plan.answer_mode, aggregation="synthesize",
        )  # fmt: skip
        answers = [response["answer"] for response in live.responses]
        best = [_answer_of(response, "federated") for response in recorded.responses[: len(some)]]
        report["aggregation"]["synthesize"] = _against_best(answers, best, some) | {"num_questions": len(some)}
        num_generated += len(some)
    if plan.answer_mode is not AnswerMode.SCRUB:
        scrubbed = await _ask(plan, system, questions, AnswerMode.SCRUB, "answers under scrub", tick)
        report["scrub"] = _scrubbed(scrubbed, questions)
        num_generated += len(questions)
    return report | {"num_generated": num_generated}


async def _ask(
    plan: RagPlan, system: System, questions: Sequence[LabelledQuestion], mode: AnswerMode, what: str, tick: Tick
) -> Recorded:
    return await ask_all(
        system, questions, concurrency=plan.concurrency, tick=tick, what=what, answer_mode=mode, aggregation="best"
    )


def _answer_of(response: Mapping[str, Any], name: str) -> str | None:
    if name == "federated":
        answer: str | None = response["answer"]
        return answer
    return next((item["answer"] for item in response["answered"] if item["node"] == name), None)


async def _merged_again(recorded: Recorded, questions: Sequence[LabelledQuestion]) -> dict[str, dict[str, Any]]:
    """Every method on the same released answers, with the paired difference of its F1 to that of `best`."""
    merged: dict[str, list[str | None]] = {}
    for method in _OFFLINE_METHODS:
        aggregator = make_aggregator(method)
        merged[method] = []
        for response, question in zip(recorded.responses, questions, strict=True):
            released = [_as_node_answer(item) for item in response["answered"]]
            merged[method].append((await aggregator.aggregate(question.text, released)).text if released else None)
    return {method: _against_best(answers, merged["best"], questions) for method, answers in merged.items()}


def _against_best(
    answers: Sequence[str | None], best: Sequence[str | None], questions: Sequence[LabelledQuestion]
) -> dict[str, Any]:
    pairs = zip(f1_scores(answers, questions), f1_scores(best, questions), strict=True)
    differences = [mine - theirs for mine, theirs in pairs]
    return answer_quality(answers, questions) | {"f1_minus_best_interval_95": interval_95(differences)}


def _as_node_answer(item: Mapping[str, Any]) -> NodeAnswer:
    return NodeAnswer(
        node_id=item["node"],
        mode=AnswerMode(item["answer_mode"]),
        text=item["answer"],
        score=item["score"],
        token_logprob=item["token_logprob"],
    )


def _scrubbed(recorded: Recorded, questions: Sequence[LabelledQuestion]) -> dict[str, Any]:
    released = [item for response in recorded.responses for item in response["answered"]]
    filtered = [
        item for response in recorded.responses for item in response["withheld"]
        if item["reason"] in {"verbatim", "pii", "nothing_left"}
    ]  # fmt: skip
    total = len(released) + len(filtered)
    answers = [response["answer"] for response in recorded.responses]
    return answer_quality(answers, questions) | {
        "redacted_share": round(sum(bool(item["redactions"]) for item in released) / max(1, total), 4),
        "cut_share": round(sum("[…]" in item["answer"] for item in released) / max(1, total), 4),
        "withheld_by_filter_share": round(len(filtered) / max(1, total), 4),
    }


async def _pooled(plan: RagPlan, system: System, tick: Tick) -> dict[str, Any]:
    questions = plan.dataset.questions
    row: dict[str, Any] = {}
    for mode in (RetrievalMode.HYBRID, RetrievalMode.DENSE):
        recorded, cited = await rank_all(system, questions, mode, concurrency=plan.concurrency, tick=tick)
        in_order = [_in_own_order(by_node["pooled"], mode) for by_node in cited]
        row[str(mode)] = recalls(in_order, questions)
        row["retrieval_latency_s"] = percentiles(recorded.latencies_s)
    row |= row["dense"] | {"exact_match": None, "token_f1": None}
    if plan.num_answers:
        sample = _answer_questions(plan)
        recorded = await _ask(plan, system, sample, plan.answer_mode, "pooled answers", tick)
        row |= answer_quality([response["answer"] for response in recorded.responses], sample)
        row["latency_s"] = percentiles(recorded.latencies_s)
    return row


def _in_own_order(citations: Citations, mode: RetrievalMode) -> list[str]:
    """One node ranks by its own order (fused ranks in `hybrid`), which its citations keep."""
    if mode is RetrievalMode.DENSE:
        return rank_documents(citations)
    return list(dict.fromkeys(document_id for document_id, _score in citations))
