"""The desks of a running node, each put together from its folder, its settings and what answers its questions."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from frag.models import Kind, locate
from frag.roster import pinned_nodes
from frag.settings import NodeSettings
from frag.types import AnswerMode
from server.node.answering import NodeAnswering
from server.node.datasets import Datasets
from server.node.drift_desk import DriftDesk
from server.node.exchange import Exchange
from server.node.gate import Gate
from server.node.guarded import GuardedCarrier, recorder_of_gains
from server.node.journal import Journal
from server.node.keyword_voting import KeywordDesk
from server.node.live_prompt import LivePrompt
from server.node.process import Peer
from server.node.profile import ProfileDesk
from server.node.reembedding import Reembedding
from server.node.state import NodeFolder
from server.node.switch import ReleaseSwitch
from server.node.training.desk import TrainingDesk
from server.node.training.forgetting import TrainingMemory
from server.node.training.personal import PersonalDesk, open_personal
from server.node.training.private_rounds import PrivateRounds
from server.node.training.process import TrainingProcess
from server.node.training.summing import SumDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenNode:
    """A node that can answer, and what its other parts are made from."""

    folder: NodeFolder
    settings: NodeSettings
    peer: Peer
    gate: Gate
    answering: NodeAnswering
    memory: TrainingMemory

    @property
    def rho_of_an_answer(self) -> float:
        """Of zero-concentrated privacy, for each unit; 0 without mode `dp`."""
        return self.answering.private.rho_of_an_answer if self.answering.private else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """What trains, what holds the live prompt, and the personal part of it."""

    trains: TrainingDesk | None = None
    prompts: LivePrompt | None = None
    personal: PersonalDesk | None = None


def open_gate(stack: AsyncExitStack, folder: NodeFolder, settings: NodeSettings) -> Gate:
    """Blocking; `stack` closes its journal."""
    journal = Journal.open(folder.journal, settings.local.journal_days)
    stack.callback(journal.close)
    return Gate(ReleaseSwitch(folder.release_switch), journal)


def open_reembedding(node: OpenNode, prompts: LivePrompt | None) -> Reembedding:
    """Follows a change of the embedder in `node.toml`."""
    from server.node.assembly import load_named

    settings = node.settings
    under_dp = any(AnswerMode.DP in c.modes_under(settings.policy) for c in settings.collections)
    return Reembedding(
        node.folder.index,
        settings.models.embedder,
        node.answering.indices,
        partial(load_named, settings.models, one_by_one=under_dp),
        share=settings.models.reembed_share,
        on_embedder=prompts.use_embedder if prompts else None,
        check=lambda model: locate(model, Kind.EMBEDDER),
    )


def open_drift(node: OpenNode) -> DriftDesk:
    """Collections under `dp` are left out: what is told of the others says nothing of them."""
    settings, answering = node.settings, node.answering
    modes = {collection.name: collection.modes_under(settings.policy) for collection in settings.collections}
    names = sorted(name for name in answering.stores if AnswerMode.DP not in modes.get(name, ()))
    return DriftDesk(
        settings.drift,
        answering.embed,
        lambda: " ".join(f"{name}@{answering.stores[name].revision()}" for name in names),
        lambda: {
            f"{name}/{document_id}": vector
            for name in names
            for document_id, vector in answering.stores[name].document_vectors().items()
        },
        lambda: answering.embedder.fingerprint,
    )


def open_profile(node: OpenNode) -> ProfileDesk:
    """What the coordinator routes questions by."""
    return ProfileDesk(
        file=node.folder.folder / "profile.json",
        ledger_file=node.folder.ledger,
        settings=node.settings.routing,
        embedder=node.answering.indices.embedder,
        voters=node.answering.voters,
        answers=node.settings.policy.dp,
    )


def open_keywords(node: OpenNode) -> KeywordDesk | None:
    """A node votes for keywords where a collection answers in mode `dp` and the operator allows it. Blocking.

    Raises:
        RosterError: The roster does not hold.
    """
    answering, dp = node.answering, node.settings.policy.dp
    if answering.private is None or not dp.keywords:
        return None
    return KeywordDesk(
        node_id=node.settings.node_id,
        identity=node.peer.key,
        settings=dp,
        units=answering.private,
        admit=answering.admit_private,
        pinned=_pinned(node.settings),
    )


async def open_learning(stack: AsyncExitStack, node: OpenNode) -> Learning:
    """A node without a language model takes no part in training; the operator can also switch training off.

    Raises:
        RosterError: The roster does not hold.
    """
    worker = node.answering.worker
    if worker is None:
        return Learning()
    exchange = Exchange(url=node.peer.url, tls=node.peer.tls)
    prompts = LivePrompt(node.folder.prompts, worker, exchange, node.answering.describe()[1])
    if not node.settings.policy.training:
        await prompts.restore()
        return Learning(prompts=prompts)
    node.folder.training.mkdir(parents=True, exist_ok=True)
    models = node.settings.models
    log = str(node.folder.training / "trainer.log")
    process = TrainingProcess(models.language_model, models.training_threads, log)
    desk = await _open_desk(node, GuardedCarrier(inner=exchange, gate=node.gate), process)
    stack.push_async_callback(desk.close)
    gains = recorder_of_gains(node.gate)
    personal = open_personal(node.folder, node.settings, node.answering, node.memory, process, prompts, gains)
    if personal is not None:
        stack.push_async_callback(personal.close)
    await prompts.restore()
    return Learning(trains=desk, prompts=prompts, personal=personal)


async def _open_desk(node: OpenNode, carrier: GuardedCarrier, process: TrainingProcess) -> TrainingDesk:
    folder, policy = node.folder, node.settings.policy
    sums = SumDesk(
        node_id=node.settings.node_id,
        identity=node.peer.key,
        folder=folder.training,
        exchange=carrier,
        pinned=await asyncio.to_thread(_pinned, node.settings),
    )
    return TrainingDesk(
        node_id=node.settings.node_id,
        folder=folder.training,
        datasets=Datasets(folder.datasets),
        library=node.answering,
        exchange=carrier,
        process=process,
        sums=sums,
        aggregation=policy.aggregation,
        private=PrivateRounds(folder.ledger, policy.training_epsilon),
        only_private=policy.training_privacy == "record",
        memory=node.memory,
    )


def _pinned(settings: NodeSettings) -> Mapping[str, bytes] | None:
    return pinned_nodes(settings.roster.file, settings.roster.operators) if settings.roster else None
