"""A federation in this process whose nodes are real: index, keys, feedback on disk, and a model that reads aloud."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from frag.feedback import seal_remark
from frag.policy_settings import CollectionSettings
from frag.privacy.patterns import PatternRedactor
from frag.privacy.redaction_cache import RedactionCache
from frag.settings import NodeSettings
from frag.types import AnswerMode, RetrievalMode
from retrievers.store import DocumentStore
from server.node.answering import NodeAnswering
from server.node.datasets import Datasets
from server.node.feedback.desk import FeedbackDesk
from server.node.feedback.opening import open_feedback
from server.node.gate import Gate
from server.node.inference import InferenceWorker
from server.node.journal import Journal
from server.node.local.app import operators_view
from server.node.local.routes import LocalState
from server.node.masking import Masking
from server.node.parts import Desks, Trains
from server.node.policy import NodePolicy
from server.node.process import NodeProcess
from server.node.state import NodeFolder
from server.node.switch import ReleaseSwitch
from server.node.training.forgetting import TrainingMemory
from server.sealed.desk import SealedDesk, open_desk, open_keys
from server.wire.messages import Ask, Feedback
from tests.doubles import HashingEmbedder
from tests.server.coordinator.scripted_training import ScriptedTrainer
from tests.server.in_process import InProcessFederation
from tests.server.node.local.conftest import ReadingModel

BOILER = "The boiler of the north plant is inspected every Monday morning by the safety engineer and two assistants."
CRANE = "The crane in hall seven lifts twelve tonnes, and nobody may stand below it while a load hangs on the hook."
ABOUT_BOILER = "When is the boiler of the north plant inspected?"


class Offers:
    """Declares data sets as a training desk does."""

    def __init__(self, datasets: Datasets) -> None:
        self._datasets = datasets

    def dataset_names(self) -> tuple[str, ...]:
        return tuple(self._datasets.usable())

    def dataset_sizes(self) -> dict[str, int]:
        return {name: self._datasets.info(name).num_examples for name in self._datasets.usable()}

    async def train(self, request: object, on_progress: object) -> Any:
        raise AssertionError("nobody trains here")

    async def sum_stage(self, request: object) -> bytes:
        raise AssertionError("nobody sums here")


@dataclass
class Silo:
    folder: NodeFolder
    settings: NodeSettings
    answering: NodeAnswering
    desk: FeedbackDesk | None
    seals: SealedDesk
    gate: Gate
    datasets: Datasets
    state: LocalState

    @property
    def feedback(self) -> FeedbackDesk:
        assert self.desk is not None
        return self.desk

    def num_examples(self) -> int:
        return len(self.datasets.load("feedback")) if "feedback" in self.datasets.usable() else 0

    async def told(self, query_id: str, correction: str, *, key: bytes = bytes(16), rating: int = -1) -> None:
        """Feedback as it arrives over the wire, sealed by somebody to the node's announced key."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        name = bytes.fromhex(query_id)
        card = await asyncio.to_thread(self.seals.card)
        envelope = seal_remark(
            rating,  # type: ignore[arg-type]
            correction,
            signer=Ed25519PrivateKey.generate(),
            recipient=card.public_key,
            node_id=self.settings.node_id,
            query_id=name,
        )
        await self.feedback.take(Feedback(request_id=1, query_id=name, key=key, envelope=envelope))

    async def asked(self, query_id: str, question: str = ABOUT_BOILER, mode: AnswerMode = AnswerMode.NONE) -> None:
        """A question that was answered under this id."""
        answer = await self.answering.answer(
            Ask(
                request_id=1,
                question=question,
                top_k=3,
                answer_mode=mode,
                retrieval=RetrievalMode.DENSE,
                retrieve_only=False,
                deadline_s=5,
                query_id=query_id,
            )
        )
        assert answer.text


@contextlib.asynccontextmanager
async def silo(
    folder: NodeFolder,
    documents: dict[str, str],
    *,
    feedback: dict[str, Any] | None = None,
    federation: InProcessFederation | None = None,
    trainer: ScriptedTrainer | None = None,
    **policy: Any,
) -> AsyncIterator[Silo]:
    """A node over its folder; connected where there is a federation, in which it was enrolled."""
    given: dict[str, Any] = {"node_id": "alpha", "coordinator_url": "http://127.0.0.1:9"}
    if federation is not None:
        enrolled = folder.settings()
        given = {"node_id": enrolled.node_id, "coordinator_url": enrolled.coordinator_url}
    notes = folder.folder / "documents"
    notes.mkdir(parents=True, exist_ok=True)
    for name, text in documents.items():
        (notes / name).write_text(text)
    collections = policy.pop("collections", [CollectionSettings(name="notes", folder=notes)])
    settings = NodeSettings.model_validate(
        given
        | {"policy": {"answer_modes": ["none", "scrub"], "min_evidence": 0.1, **policy}, "feedback": feedback or {}}
        | {"collections": [c.model_dump(exclude_none=True) for c in collections]}
    )
    folder.settings_file.write_text(tomli_w.dumps(settings.model_dump(mode="json", exclude_none=True)))
    async with AsyncExitStack() as stack:
        embedder = HashingEmbedder()
        stores = {
            c.name: stack.enter_context(DocumentStore.open(folder.index / c.name, embedder))
            for c in settings.collections
        }
        for collection in settings.collections:
            stores[collection.name].ingest([collection.folder], remove_missing=True)
        patterns = PatternRedactor(settings.policy.entity_types)
        cache = RedactionCache.open(folder.index / "redactions.db", patterns, "patterns")
        stack.callback(cache.close)
        answering = NodeAnswering(
            node_id=settings.node_id,
            policy=NodePolicy(settings.policy, settings.collections),
            rules=settings.policy,
            models=settings.models,
            stores=stores,
            embedder=embedder,
            worker=await stack.enter_async_context(InferenceWorker(ReadingModel, 4, 0.0)),
            masking=Masking(passages=cache, answers=patterns, patterns=patterns),
            workers=stack.enter_context(ThreadPoolExecutor(2)),
            alias_key=bytes(32),
        )
        journal = Journal.open(folder.journal)
        stack.callback(journal.close)
        gate = await stack.enter_async_context(Gate(ReleaseSwitch(folder.release_switch), journal))
        datasets = Datasets(folder.datasets)
        folder.training.mkdir(exist_ok=True)
        memory = TrainingMemory(datasets, folder.training, limit=16)
        peer = folder.peer(settings) if federation is not None else _peer(folder, settings)
        keys = open_keys(folder, settings, peer)
        desk = open_feedback(folder, settings, answering, keys, memory, gate)
        if desk is not None:
            await stack.enter_async_context(desk)
        state = await stack.enter_async_context(
            operators_view(folder, settings, answering, gate, memory=memory, feedback=desk)
        )
        seals = open_desk(folder, settings, peer, answering, None, desk, keys)
        stack.callback(seals.replays.close)
        made = Silo(folder, settings, answering, desk, seals, gate, datasets, state)
        if federation is not None:
            trains: Trains = Offers(datasets)
            if trainer is not None:
                trainer.dataset_names, trainer.dataset_sizes = trains.dataset_names, trains.dataset_sizes  # type: ignore[method-assign]
                trains = trainer
            process = NodeProcess(
                peer,
                Desks(answers=answering, trains=trains, prompts=trainer, seals=seals, feedback=desk, gate=gate),
            )
            federation.tasks[settings.node_id] = asyncio.create_task(process.run())
            registry = federation.state.registry
            await federation.until(lambda: registry.link(settings.node_id) is not None)
        try:
            yield made
        finally:
            if settings.node_id in (federation.tasks if federation else {}):
                assert federation is not None
                await federation.leave(settings.node_id)


def _peer(folder: NodeFolder, settings: NodeSettings) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from server.node.process import Peer

    return Peer(node_id=settings.node_id, key=Ed25519PrivateKey.generate(), coordinator_key=bytes(32), url="")


def node_folder(folder: Path) -> NodeFolder:
    folder.mkdir(parents=True, exist_ok=True)
    return NodeFolder(folder)
