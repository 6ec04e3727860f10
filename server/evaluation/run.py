"""Runs a data set through real node processes: the federation, and all documents pooled in one node."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from frag.errors import FragError
from frag.settings import NO_LANGUAGE_MODEL, ModelSettings
from frag.types import Document, RetrievalMode
from retrievers.store import DocumentStore
from server.evaluation.datasets import LabelledQuestion
from server.evaluation.measures import Citations
from server.evaluation.wire_meter import WireMeter, wire_meter
from server.local_federation import LocalFederation, free_port
from server.node.assembly import load_embedder
from server.node.datasets import Datasets
from server.node.found import document_alias

_COLLECTION = "documents"
_TOP_K = 20
"""Chunks looked up for a ranking: enough for ten documents after several chunks of one are merged."""

Tick = Callable[[str, int, int], None]
"""Called with (what is under way, done, total)."""


class EvaluationError(FragError):
    """A question of the evaluation failed; figures over the rest would be wrong."""

    code = "evaluation_failed"


@dataclass(slots=True)
class System:
    """A running federation under evaluation, and how to read its pseudonyms."""

    federation: LocalFederation
    meter: WireMeter
    documents: Mapping[str, str]
    """Source document of every alias; the evaluator owns the nodes, so it may resolve them."""

    def resolve(self, answered: Mapping[str, Any]) -> Citations:
        """Citations of one node's part of a response, as source documents."""
        return [(self.documents[c["document"]], c["score"]) for c in answered["citations"]]


@dataclass(slots=True)
class Recorded:
    """Responses in the order of the questions, and the seconds that each took at the asker."""

    responses: list[dict[str, Any]] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)


@asynccontextmanager
async def running(
    folder: Path,
    silos: Mapping[str, Sequence[Document]],
    *,
    generate: bool,
    tick: Tick,
    examples: tuple[str, Mapping[str, Path]] = ("", {}),
) -> AsyncIterator[System]:
    """One node a silo, ingested, connected through a meter; `examples` names a training set, and its file by node."""
    async with AsyncExitStack() as stack:
        port = free_port()
        meter = await stack.enter_async_context(wire_meter(port))
        settings = {"queries_per_minute": 10_000_000, "models": {"threads": 1}}
        federation = await stack.enter_async_context(LocalFederation(folder, settings=settings, port=port))
        documents = await _set_up(federation, silos, meter.port, generate=generate, tick=tick)
        dataset, files = examples
        for name, file in files.items():
            await asyncio.to_thread(Datasets(federation.node(name).datasets).add, dataset, file)
        for name in silos:
            federation.start_node(name)
        tick("starting nodes", 0, 0)
        await federation.wait_for_nodes(list(silos), within_s=600)
        yield System(federation, meter, documents)


async def _set_up(
    federation: LocalFederation,
    silos: Mapping[str, Sequence[Document]],
    dial_port: int,
    *,
    generate: bool,
    tick: Tick,
) -> dict[str, str]:
    embedder = await asyncio.to_thread(load_embedder, ModelSettings())
    models: dict[str, object] = {"threads": 1}
    if not generate:
        models["language_model"] = NO_LANGUAGE_MODEL
    aliases: dict[str, str] = {}
    for name, documents in silos.items():
        node_settings = {
            "models": models,
            "policy": {"answer_modes": ["none", "scrub"] if generate else ["none"], "questions_per_minute": 10_000_000},
            "collections": [{"name": _COLLECTION, "folder": "documents"}],
        }
        await federation.add_node(name, node_settings)
        node = federation.node(name)
        content = node.settings_file.read_text().replace(f":{federation.port}", f":{dial_port}")
        node.settings_file.write_text(content)
        with DocumentStore.open(node.index / _COLLECTION, embedder) as store:
            await asyncio.to_thread(store.ingest, documents, partial(tick, f"indexing {name}"))
        key = node.alias_key()
        aliases |= {document_alias(key, _COLLECTION, d.document_id): d.document_id for d in documents}
    return aliases


async def ask_all(
    system: System, questions: Sequence[LabelledQuestion], *, concurrency: int, tick: Tick, what: str, **body: object
) -> Recorded:
    """Asks every question with the same further fields, `concurrency` at a time.

    Raises:
        EvaluationError: The coordinator refused a question, or a node failed on one.
    """
    recorded = Recorded([{}] * len(questions), [0.0] * len(questions))
    waiting = iter(enumerate(questions))
    num_done = 0

    async def ask_some(session: aiohttp.ClientSession) -> None:
        nonlocal num_done
        for number, question in waiting:
            started = time.perf_counter()
            response = await system.federation.ask(session, question=question.text, deadline_s=600, **body)
            recorded.latencies_s[number] = time.perf_counter() - started
            recorded.responses[number] = _checked(response)
            num_done += 1
            tick(what, num_done, len(questions))

    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
        asyncio.TaskGroup() as tasks,
    ):
        for _ in range(concurrency):
            tasks.create_task(ask_some(session))
    return recorded


def _checked(response: dict[str, Any]) -> dict[str, Any]:
    if response["http_status"] != 200 or response["failed"]:
        said = msgspec.json.encode(response.get("detail") or response.get("failed")).decode()
        raise EvaluationError(f"A question failed: {said[:300]}.", "Run again with --keep FOLDER and see its logs.")
    return response


async def rank_all(
    system: System,
    questions: Sequence[LabelledQuestion],
    mode: RetrievalMode,
    *,
    concurrency: int,
    tick: Tick,
) -> tuple[Recorded, list[dict[str, Citations]]]:
    """Retrieval only: the citations of every node, by node, for every question."""
    recorded = await ask_all(
        system,
        questions,
        concurrency=concurrency,
        tick=tick,
        what=f"retrieval, {mode}",
        retrieve_only=True,
        retrieval=mode,
        top_k=_TOP_K,
        answer_mode="none",
    )
    cited = [{item["node"]: system.resolve(item) for item in response["answered"]} for response in recorded.responses]
    return recorded, cited
