"""Runs a node until a signal ends it."""

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Literal

import structlog

from frag.roster import pinned_nodes
from frag.settings import NodeSettings
from frag.telemetry import configure_logging
from frag.types import AnswerMode
from server.node.answering import NodeAnswering
from server.node.datasets import Datasets
from server.node.drift_desk import DriftDesk
from server.node.exchange import Exchange
from server.node.feedback.opening import open_feedback
from server.node.gate import Gate
from server.node.guarded import (
    GuardedAnswers,
    GuardedCarrier,
    GuardedKeywords,
    GuardedProfiles,
    GuardedSeals,
    GuardedTraining,
    recorder_of_gains,
)
from server.node.journal import Journal
from server.node.keyword_voting import KeywordDesk
from server.node.live_prompt import LivePrompt
from server.node.local.app import operators_view
from server.node.local.routes import LocalState
from server.node.process import NodeProcess, Peer
from server.node.profile import ProfileDesk
from server.node.reembedding import Reembedding
from server.node.state import NodeFolder, Status, write_status
from server.node.switch import ReleaseSwitch
from server.node.training.desk import TrainingDesk
from server.node.training.forgetting import TrainingMemory
from server.node.training.personal import PersonalDesk
from server.node.training.private_rounds import PrivateRounds
from server.node.training.process import TrainingProcess
from server.node.training.summing import SumDesk
from server.node.watching import open_watch
from server.sealed.desk import open_desk, open_keys

_log = structlog.get_logger()


def serve(folder: NodeFolder) -> None:
    """Blocks until SIGINT or SIGTERM.

    Raises:
        SettingsError: `node.toml` is wrong, or the node is not enrolled.
        ConflictError: The node runs already.
        ModelError: A model is missing or corrupt.
        IndexStoreError: An index cannot be opened.
    """
    settings = folder.settings()  # a wrong file is said before anything is made or locked
    configure_logging(settings.telemetry)
    with folder.exclusive():
        asyncio.run(_serve(folder))


async def _serve(folder: NodeFolder) -> None:
    from server.node.assembly import open_answering

    settings = folder.settings()
    peer = folder.peer(settings)
    async with AsyncExitStack() as stack:
        recorder = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="status"))
        views: list[LocalState] = []

        def show(state: Literal["connected", "disconnected"]) -> None:
            since = datetime.now(UTC).isoformat(timespec="seconds")
            status = Status(pid=os.getpid(), connected=state == "connected", since=since)
            recorder.submit(write_status, folder, status)
            for view in views:
                view.connected = status["connected"]

        show("disconnected")
        gate = await stack.enter_async_context(await asyncio.to_thread(_open_gate, stack, folder, settings))
        answering = await stack.enter_async_context(
            open_answering(
                node_id=settings.node_id,
                models=settings.models,
                policy=settings.policy,
                collections=settings.collections,
                index_folder=folder.index,
                alias_key=folder.alias_key(),
                ledger=folder.ledger,
            )
        )
        _log.info("node_ready", node=settings.node_id, num_documents=answering.describe()[2])
        memory = TrainingMemory(Datasets(folder.datasets), folder.training, limit=settings.policy.verbatim_limit_tokens)
        trains, prompts, personal = await _open_training(stack, folder, settings, peer, answering, gate, memory)
        reembedding = _reembedding(folder, settings, answering, prompts)
        keys = await asyncio.to_thread(open_keys, folder, settings, peer)
        feedback = await asyncio.to_thread(open_feedback, folder, settings, answering, keys, memory, gate)
        if feedback:
            await stack.enter_async_context(feedback)
        view = operators_view(
            folder,
            settings,
            answering,
            gate,
            memory=memory,
            trains=trains,
            prompts=prompts,
            order_embedder=reembedding.order,
            feedback=feedback,
        )
        views.append(await stack.enter_async_context(view))
        profiles = ProfileDesk(
            file=folder.folder / "profile.json",
            ledger_file=folder.ledger,
            settings=settings.routing,
            embedder=answering.indices.embedder,
            voters=answering.voters,
            answers=settings.policy.dp,
        )
        rho = answering.private.rho_of_an_answer if answering.private else 0.0
        voting = await asyncio.to_thread(_open_keywords, settings, peer, answering)
        keywords = GuardedKeywords(inner=voting, gate=gate) if voting else None
        sealed_answers = GuardedAnswers(inner=answering, gate=gate, channel="sealed", rho=rho)
        seals = await asyncio.to_thread(open_desk, folder, settings, peer, sealed_answers, keywords, feedback, keys)
        stack.callback(seals.replays.close)
        await stack.enter_async_context(reembedding.running())
        drifts = _open_drift(settings, answering)
        if trains is not None:
            trains.on_standing_run = drifts.settle
        await run_until_signal(
            NodeProcess(
                peer,
                GuardedAnswers(inner=answering, gate=gate, rho=rho, noted=drifts.note),
                show,
                trains=GuardedTraining(inner=trains, gate=gate) if trains else None,
                prompts=prompts,
                seals=GuardedSeals(inner=seals, gate=gate),
                profiles=GuardedProfiles(inner=profiles, gate=gate),
                keywords=keywords,
                feedback=feedback,
                gate=gate,
                personal=personal,
                drifts=drifts,
                watch=await open_watch(stack, folder, settings, answering),
            )
        )


def _reembedding(
    folder: NodeFolder, settings: NodeSettings, answering: NodeAnswering, prompts: LivePrompt | None
) -> Reembedding:
    from server.node.assembly import load_named

    under_dp = any(AnswerMode.DP in c.modes_under(settings.policy) for c in settings.collections)
    return Reembedding(
        folder.index,
        settings.models.embedder,
        answering.indices,
        partial(load_named, settings.models, one_by_one=under_dp),
        share=settings.models.reembed_share,
        on_embedder=prompts.use_embedder if prompts else None,
    )


def _open_drift(settings: NodeSettings, answering: NodeAnswering) -> DriftDesk:
    """Collections under `dp` are left out: what is told of the others says nothing of them."""
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
    )


def _open_gate(stack: AsyncExitStack, folder: NodeFolder, settings: NodeSettings) -> Gate:
    journal = Journal.open(folder.journal, settings.local.journal_days)
    stack.callback(journal.close)
    return Gate(ReleaseSwitch(folder.release_switch), journal)


def _open_keywords(settings: NodeSettings, peer: Peer, answering: NodeAnswering) -> KeywordDesk | None:
    """A node votes for keywords where a collection answers in mode `dp` and the operator allows it."""
    if answering.private is None or not settings.policy.dp.keywords:
        return None
    return KeywordDesk(
        node_id=settings.node_id,
        identity=peer.key,
        settings=settings.policy.dp,
        units=answering.private,
        admit=answering.admit_private,
        pinned=_pinned(settings),
    )


def _pinned(settings: NodeSettings) -> Mapping[str, bytes] | None:
    """Raises RosterError."""
    return pinned_nodes(settings.roster.file, settings.roster.operators) if settings.roster else None


async def _open_training(
    stack: AsyncExitStack,
    folder: NodeFolder,
    settings: NodeSettings,
    peer: Peer,
    answering: NodeAnswering,
    gate: Gate,
    memory: TrainingMemory,
) -> tuple[TrainingDesk | None, LivePrompt | None, PersonalDesk | None]:
    """A node without a language model takes no part in training; the operator can also switch training off."""
    if answering.worker is None:
        return None, None, None
    exchange = Exchange(url=peer.url, tls=peer.tls)
    prompts = LivePrompt(folder.prompts, answering.worker, exchange, answering.describe()[1])
    if not settings.policy.training:
        await prompts.restore()
        return None, prompts, None
    folder.training.mkdir(parents=True, exist_ok=True)
    models = settings.models
    process = TrainingProcess(models.language_model, models.training_threads, str(folder.training / "trainer.log"))
    carrier = GuardedCarrier(inner=exchange, gate=gate)
    sums = SumDesk(
        node_id=settings.node_id,
        identity=peer.key,
        folder=folder.training,
        exchange=carrier,
        pinned=await asyncio.to_thread(_pinned, settings),
    )
    desk = TrainingDesk(
        node_id=settings.node_id,
        folder=folder.training,
        datasets=Datasets(folder.datasets),
        library=answering,
        exchange=carrier,
        process=process,
        sums=sums,
        aggregation=settings.policy.aggregation,
        private=PrivateRounds(folder.ledger, settings.policy.training_epsilon),
        only_private=settings.policy.training_privacy == "record",
        memory=memory,
    )
    stack.push_async_callback(desk.close)
    personal = _open_personal(folder, settings, answering, gate, memory, process, prompts)
    if personal is not None:
        stack.push_async_callback(personal.close)
    await prompts.restore()
    return desk, prompts, personal


def _open_personal(
    folder: NodeFolder,
    settings: NodeSettings,
    library: NodeAnswering,
    gate: Gate,
    memory: TrainingMemory,
    process: TrainingProcess,
    prompts: LivePrompt,
) -> PersonalDesk | None:
    """What makes the node's own form of each live prompt, where its operator wants that."""
    if not settings.training.personal:
        return None
    personal = PersonalDesk(
        folder=folder.personal,
        training=folder.training,
        settings=settings.training,
        datasets=Datasets(folder.datasets),
        library=library,
        memory=memory,
        process=process,
        prompts=prompts,
        record=recorder_of_gains(gate),
    )
    prompts.on_live = personal.follow
    memory.on_forgotten.append(personal.forgotten)
    return personal


async def run_until_signal(process: NodeProcess) -> None:
    """Serves connections until SIGINT or SIGTERM, then ends them."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("run_until_signal belongs inside a task")
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    gc.collect()
    gc.freeze()  # models and modules stay: a full collection over them would stall questions for tens of ms
    with contextlib.suppress(asyncio.CancelledError):
        await process.run()
    task.uncancel()
    _log.info("node_stopping")
