"""A node in this process: real index, real journal, real HTTP, and a model that says what a test tells it to."""

import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from frag.policy_settings import CollectionSettings, PolicySettings
from frag.privacy.ledger import Ledger
from frag.privacy.patterns import PatternRedactor
from frag.privacy.redaction_cache import RedactionCache
from frag.protocols import TextListener
from frag.settings import ModelSettings, NodeSettings
from frag.types import Adaptation, AnswerMode, Generation, GenerationRequest, NodeAnswer, RetrievalMode
from retrievers.store import DocumentStore
from server.node.answering import NodeAnswering
from server.node.datasets import Datasets
from server.node.gate import Gate
from server.node.guarded import GuardedAnswers
from server.node.inference import InferenceWorker
from server.node.journal import Journal
from server.node.local.app import operators_view
from server.node.local.client import address_of
from server.node.local.routes import LocalState
from server.node.masking import Masking
from server.node.policy import NodePolicy
from server.node.private_answering import PrivateAnswering
from server.node.state import NodeFolder
from server.node.switch import ReleaseSwitch
from server.node.training.forgetting import TrainingMemory
from server.wire.messages import Ask
from tests.doubles import HashingEmbedder

Collections = Sequence[dict[str, Any]]
NOTES: Collections = ({"name": "notes", "folder": "documents"},)


class ReadingModel:
    """Answers with the first passage that it was given; `open` lets it go on."""

    name = "reading"

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.reading = threading.Event()

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        is_cancelled: Callable[[int], bool] = lambda _row: False,
        adaptation: Adaptation | None = None,
        listeners: Mapping[int, TextListener] | None = None,
    ) -> list[Generation]:
        self.reading.set()
        assert self.open.wait(10)
        return [
            Generation(
                text=r.passages[0] if r.passages else "", token_logprob=-0.1, num_prompt_tokens=1, num_new_tokens=1
            )
            for r in requests
        ]

    def check(self, adaptation: Adaptation) -> None: ...


@dataclass
class View:
    """A node, and its operator with a browser's or curl's means."""

    folder: NodeFolder
    settings: NodeSettings
    answering: NodeAnswering
    gate: Gate
    state: LocalState
    model: ReadingModel
    redactions: RedactionCache
    session: aiohttp.ClientSession
    url: str
    token: str = field(repr=False)

    @property
    def documents(self) -> Path:
        return self.settings.collections[0].folder

    async def call(
        self, method: str, path: str, headers: dict[str, str] | None = None, **rest: Any
    ) -> tuple[int, dict[str, Any]]:
        given = {"Authorization": f"Bearer {self.token}"} if headers is None else headers
        async with self.session.request(method, URL(self.url + path, encoded=True), headers=given, **rest) as answer:
            return answer.status, await answer.json(content_type=None)

    async def put(self, document_id: str, text: str | bytes, collection: str = "notes") -> tuple[int, dict[str, Any]]:
        content = text.encode() if isinstance(text, str) else text
        return await self.call("PUT", f"/documents/{collection}/{quote(document_id, safe='')}", data=content)

    async def delete(self, document_id: str, collection: str = "notes") -> tuple[int, dict[str, Any]]:
        return await self.call("DELETE", f"/documents/{collection}/{quote(document_id, safe='')}")

    def found(self, question: str, top_k: int = 5) -> list[str]:
        """Ids of the documents that a search begun now finds."""
        return [hit.document_id for hit in self.answering.stores["notes"].search(question, top_k, RetrievalMode.DENSE)]

    async def ask(self, question: str, mode: AnswerMode = AnswerMode.NONE, **fields: Any) -> NodeAnswer:
        """As it would go to the coordinator."""
        return await GuardedAnswers(inner=self.answering, gate=self.gate).answer(question_of(question, mode, **fields))


def question_of(
    question: str, mode: AnswerMode = AnswerMode.NONE, *, retrieve_only: bool = False, top_k: int = 3
) -> Ask:
    return Ask(
        request_id=1,
        question=question,
        top_k=top_k,
        answer_mode=mode,
        retrieval=RetrievalMode.DENSE,
        retrieve_only=retrieve_only,
        deadline_s=10,
    )


@asynccontextmanager
async def node_view(folder: Path, collections: Collections = NOTES, **policy: Any) -> AsyncIterator[View]:
    place = NodeFolder(folder)
    settings = NodeSettings(
        node_id="alpha",
        coordinator_url="http://127.0.0.1:9",
        models=ModelSettings(language_model="none"),
        policy=PolicySettings.model_validate(
            {"answer_modes": ["none", "scrub"], "min_evidence": 0.2, "questions_per_minute": 60_000, **policy}
        ),
        collections=tuple(CollectionSettings.model_validate(c | {"folder": folder / c["folder"]}) for c in collections),
    )
    for collection in settings.collections:
        collection.folder.mkdir(parents=True, exist_ok=True)
    place.settings_file.write_text(_toml(settings))
    place.training.mkdir(exist_ok=True)
    model, embedder = ReadingModel(), HashingEmbedder()
    async with AsyncExitStack() as stack:
        stores = {
            c.name: stack.enter_context(DocumentStore.open(place.index / c.name, embedder))
            for c in settings.collections
        }
        worker = await stack.enter_async_context(InferenceWorker(lambda: model, 4, 0.0))
        workers = stack.enter_context(ThreadPoolExecutor(2))
        rules = NodePolicy(settings.policy, settings.collections)
        patterns = PatternRedactor(settings.policy.entity_types)
        redactions = RedactionCache.open(place.index / "redactions.db", patterns, "patterns")
        stack.callback(redactions.close)
        private = None
        if rules.under_dp():
            ledger = Ledger.open(place.ledger)
            stack.callback(ledger.close)
            private = PrivateAnswering(
                node_id="alpha",
                settings=settings.policy.dp,
                collections=list(rules.under_dp().values()),
                stores=stores,
                embedder=embedder,
                worker=worker,
                redactor=patterns,
                ledger=ledger,
                workers=workers,
            )
        answering = NodeAnswering(
            node_id="alpha",
            policy=rules,
            rules=settings.policy,
            models=settings.models,
            stores=stores,
            embedder=embedder,
            worker=worker,
            masking=Masking(passages=redactions, answers=patterns, patterns=patterns),
            workers=workers,
            alias_key=bytes(32),
            private=private,
        )
        journal = Journal.open(place.journal)
        stack.callback(journal.close)
        gate = await stack.enter_async_context(Gate(ReleaseSwitch(place.release_switch), journal))
        memory = TrainingMemory(Datasets(place.datasets), place.training, limit=16)
        state = await stack.enter_async_context(operators_view(place, settings, answering, gate, memory=memory))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        address = address_of(place)
        assert address
        token = place.local_token.read_text()
        yield View(place, settings, answering, gate, state, model, redactions, session, address.url, token)


def _toml(settings: NodeSettings) -> str:
    import tomli_w

    return tomli_w.dumps(settings.model_dump(mode="json", exclude_none=True, exclude_defaults=True))


@pytest.fixture
async def view(tmp_path: Path) -> AsyncIterator[View]:
    async with node_view(tmp_path) as made:
        yield made
