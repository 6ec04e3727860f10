"""`frag eval live`: the whole loop over one running federation: questions, a training job beside them, promotion, the
same questions again. No process is restarted."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

from frag.errors import CoordinatorError
from prompt_tuning.job import JobSettings
from server.evaluation.datasets import Dataset, LabelledQuestion, split_into_silos
from server.evaluation.measures import answer_quality, f1_scores, interval_95, percentiles
from server.evaluation.run import EvaluationError, System, Tick, running
from server.evaluation.training.abstention import abstention
from server.training_client import TrainingClient

_POLL_S = 1.0
_DEADLINE_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePlan:
    """What to run. Nodes train on the questions of all but the last `num_test_silos` articles; the rest is asked."""

    dataset: Dataset
    job: JobSettings
    num_silos: int
    num_test_silos: int
    num_questions: int
    rate_per_s: float
    seed: int = 0


@dataclass(slots=True)
class Asked:
    """Responses to the same questions in the same order, None where one failed, and what each took at the asker."""

    responses: list[dict[str, Any] | None]
    latencies_s: list[float] = field(default_factory=list)

    @property
    def num_failed(self) -> int:
        return sum(response is None for response in self.responses)


async def evaluate_live(plan: LivePlan, tick: Tick, folder: Path | None = None) -> dict[str, Any]:
    """The report as JSON types: quality and abstention before and after, and latency without and with training.

    Raises:
        BadRequestError: The data set has fewer natural silos than the plan.
        EvaluationError: The job failed.
    """
    silos = split_into_silos(plan.dataset, plan.num_silos, plan.seed)
    home = {document.document_id: name for name, documents in silos.items() for document in documents}
    train, test = _divided(plan)
    with TemporaryDirectory(prefix="frag-live-") as temporary:
        base = folder or Path(temporary)
        files = _example_files(plan, train, home, base / "examples")
        async with running(
            base / "federation", silos, generate=True, tick=tick, examples=(plan.job.dataset, files)
        ) as system:
            before = await _ask_at_random(plan, system, test, "idle", tick)
            client = TrainingClient(system.federation.url, system.federation.api_key, None)
            async with _jobs(plan, client, tick) as (job_id, spare_id):
                during = await _ask_at_random(plan, system, test, "while training", tick)
                spare = await client.get(f"/v1/jobs/{spare_id}")
            job = await client.get(f"/v1/jobs/{job_id}")
            promoted = await client.post(f"/v1/prompts/{job_id}/promote")
            after = await _ask_at_random(plan, system, test, "after promotion", tick)
    latency = {"idle": _latency(before), "training": _latency(during), "after": _latency(after)}
    gains = [b - a for a, b in zip(_f1(before, test), _f1(after, test), strict=True)]
    return {
        "dataset": plan.dataset.name,
        "documents_by_silo": {name: len(documents) for name, documents in silos.items()},
        "examples_by_silo": {name: sum(home[q.document_id] == name for q in train) for name in silos},
        "num_questions": len(test),
        "rate_per_s": plan.rate_per_s,
        "job": job | {"trained_until_the_last_question": spare["state"] in {"queued", "running"}},
        "promotion": promoted,
        "before": _quality(before, test, home),
        "after": _quality(after, test, home),
        "gain": {"token_f1": round(sum(gains) / len(gains), 4), "interval_95": interval_95(gains)},
        "latency_s": latency,
        "p95_ratio": round(latency["training"]["p95"] / latency["idle"]["p95"], 3),
    }


def _divided(plan: LivePlan) -> tuple[list[LabelledQuestion], list[LabelledQuestion]]:
    """Questions to train on, and a seeded sample of those about articles that nobody trains on."""
    held_out = list(plan.dataset.documents.values())[-plan.num_test_silos :]
    unseen = {document.document_id for documents in held_out for document in documents}
    train = [question for question in plan.dataset.questions if question.document_id not in unseen]
    test = [question for question in plan.dataset.questions if question.document_id in unseen]
    random.Random(plan.seed).shuffle(test)  # noqa: S311 - a reproducible sample, no secret
    return train, test[: plan.num_questions]


def _example_files(
    plan: LivePlan, train: Sequence[LabelledQuestion], home: Mapping[str, str], folder: Path
) -> dict[str, Path]:
    """One JSONL file a node: questions about its own documents, with the passage."""
    texts = {d.document_id: d.text for documents in plan.dataset.documents.values() for d in documents}
    files: dict[str, Path] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for name in sorted(set(home.values())):
        rows = [
            {"question": q.text, "answer": list(q.golds), "passage": texts[q.document_id], "group": q.document_id}
            for q in train
            if home[q.document_id] == name
        ]
        files[name] = folder / f"{name}.jsonl"
        files[name].write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return files


@asynccontextmanager
async def _jobs(plan: LivePlan, client: TrainingClient, tick: Tick) -> AsyncIterator[tuple[str, str]]:
    """The job, under way inside the context; leaving it waits for its end.

    A spare one with another seed stands behind it in the queue, so that the nodes train until the last question; it is
    dropped then.
    """
    spare = plan.job.model_copy(update={"seed": plan.job.seed + 1})
    ids = [str((await client.post("/v1/jobs", job.model_dump(mode="json")))["job_id"]) for job in (plan.job, spare)]
    await _state_beyond(client, ids[0], {"queued"}, tick)
    yield ids[0], ids[1]
    with contextlib.suppress(CoordinatorError):
        await client.post(f"/v1/jobs/{ids[1]}/cancel")
    job = await _state_beyond(client, ids[0], {"running"}, tick)
    if job["state"] != "done":
        raise EvaluationError(f"The job ended as {job['state']}: {job['error']}", "Run again with --keep FOLDER.")


async def _state_beyond(client: TrainingClient, job_id: str, states: set[str], tick: Tick) -> dict[str, Any]:
    """The job as soon as it is in none of `states`."""
    while True:
        job = await client.get(f"/v1/jobs/{job_id}")
        if job["state"] not in states:
            return job
        tick("rounds", len(job["rounds"]), job["num_rounds"])
        await asyncio.sleep(_POLL_S)


async def _ask_at_random(
    plan: LivePlan, system: System, questions: Sequence[LabelledQuestion], what: str, tick: Tick
) -> Asked:
    """Poisson arrivals at the plan's rate, the same in every phase; a question that fails is counted, not repeated."""
    gaps = random.Random(plan.seed)  # noqa: S311 - reproducible arrivals
    asked = Asked([None] * len(questions), [0.0] * len(questions))
    num_done = 0

    async def ask(session: aiohttp.ClientSession, number: int) -> None:
        nonlocal num_done
        started = time.perf_counter()
        response = await system.federation.ask(
            session, question=questions[number].text, deadline_s=_DEADLINE_S, answer_mode="none", aggregation="best"
        )
        asked.latencies_s[number] = time.perf_counter() - started
        if response["http_status"] == 200 and not response["failed"]:
            asked.responses[number] = response
        num_done += 1
        tick(what, num_done, len(questions))

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session, asyncio.TaskGroup() as all_:
        for number in range(len(questions)):
            all_.create_task(ask(session, number))
            await asyncio.sleep(gaps.expovariate(plan.rate_per_s))
    return asked


def _latency(asked: Asked) -> dict[str, Any]:
    counts = {"num_questions": len(asked.responses), "num_failed": asked.num_failed}
    return percentiles(asked.latencies_s) | counts | {"samples": [round(value, 3) for value in asked.latencies_s]}


def _answers(asked: Asked) -> list[str | None]:
    return [response["answer"] if response else None for response in asked.responses]


def _f1(asked: Asked, questions: Sequence[LabelledQuestion]) -> list[float]:
    return f1_scores(_answers(asked), questions)


def _quality(asked: Asked, questions: Sequence[LabelledQuestion], home: Mapping[str, str]) -> dict[str, Any]:
    quality: dict[str, Any] = dict(answer_quality(_answers(asked), questions))
    quality["interval_95"] = interval_95(_f1(asked, questions))
    quality["not_found"] = abstention(asked.responses, [home[question.document_id] for question in questions])
    versions = {item["prompt_version"] for response in asked.responses if response for item in response["answered"]}
    return quality | {"prompt_versions": sorted(versions)}
