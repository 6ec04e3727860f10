"""Runs a node until a signal ends it."""

import asyncio
import contextlib
import gc
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Literal

import structlog

from frag.telemetry import configure_logging
from server.node.datasets import Datasets
from server.node.desks import (
    OpenNode,
    open_drift,
    open_gate,
    open_keywords,
    open_learning,
    open_profile,
    open_reembedding,
)
from server.node.feedback.opening import open_feedback
from server.node.guarded import GuardedAnswers, GuardedKeywords, GuardedProfiles, GuardedSeals, GuardedTraining
from server.node.local.app import operators_view
from server.node.local.routes import LocalState
from server.node.parts import Desks
from server.node.process import NodeProcess
from server.node.state import NodeFolder, Status, write_status
from server.node.training.forgetting import TrainingMemory
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
    async with AsyncExitStack() as stack:
        board = _StatusBoard(folder, stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="status")))
        board.show("disconnected")
        node = await _open(stack, folder)
        await run_until_signal(await _assemble(stack, node, board))


async def _open(stack: AsyncExitStack, folder: NodeFolder) -> OpenNode:
    from server.node.assembly import open_answering

    settings = folder.settings()
    peer = folder.peer(settings)
    gate = await stack.enter_async_context(await asyncio.to_thread(open_gate, stack, folder, settings))
    answering = await stack.enter_async_context(
        open_answering(
            node_id=settings.node_id,
            models=settings.models,
            policy=settings.policy,
            collections=settings.collections,
            index_folder=folder.index,
            alias_key=folder.alias_key(),
            ledger=folder.ledger,
            vectors_at=settings.index.qdrant_url,
        )
    )
    _log.info("node_ready", node=settings.node_id, num_documents=answering.describe()[2])
    memory = TrainingMemory(Datasets(folder.datasets), folder.training, limit=settings.policy.verbatim_limit_tokens)
    return OpenNode(folder=folder, settings=settings, peer=peer, gate=gate, answering=answering, memory=memory)


async def _assemble(stack: AsyncExitStack, node: OpenNode, board: "_StatusBoard") -> NodeProcess:
    folder, settings, gate, answering = node.folder, node.settings, node.gate, node.answering
    learning = await open_learning(stack, node)
    reembedding = open_reembedding(node, learning.prompts)
    keys = await asyncio.to_thread(open_keys, folder, settings, node.peer)
    feedback = await asyncio.to_thread(open_feedback, folder, settings, answering, keys, node.memory, gate)
    if feedback:
        await stack.enter_async_context(feedback)
    view = operators_view(
        folder,
        settings,
        answering,
        gate,
        memory=node.memory,
        trains=learning.trains,
        prompts=learning.prompts,
        order_embedder=reembedding.order,
        feedback=feedback,
    )
    board.views.append(await stack.enter_async_context(view))
    voting = await asyncio.to_thread(open_keywords, node)
    keywords = GuardedKeywords(inner=voting, gate=gate) if voting else None
    rho = node.rho_of_an_answer
    sealed_answers = GuardedAnswers(inner=answering, gate=gate, channel="sealed", rho=rho)
    seals = await asyncio.to_thread(open_desk, folder, settings, node.peer, sealed_answers, keywords, feedback, keys)
    stack.callback(seals.replays.close)
    await stack.enter_async_context(reembedding.running())
    drifts = open_drift(node)
    if learning.trains is not None:
        learning.trains.on_standing_run = drifts.settle
    desks = Desks(
        answers=GuardedAnswers(inner=answering, gate=gate, rho=rho, noted=drifts.note),
        trains=GuardedTraining(inner=learning.trains, gate=gate) if learning.trains else None,
        prompts=learning.prompts,
        seals=GuardedSeals(inner=seals, gate=gate),
        profiles=GuardedProfiles(inner=open_profile(node), gate=gate),
        keywords=keywords,
        feedback=feedback,
        gate=gate,
        personal=learning.personal,
        drifts=drifts,
    )
    return NodeProcess(node.peer, desks, board.show, watch=await open_watch(stack, folder, settings, answering))


class _StatusBoard:
    """Tells `node.status` and the operator's page whether the node is connected."""

    def __init__(self, folder: NodeFolder, recorder: ThreadPoolExecutor) -> None:
        self._folder = folder
        self._recorder = recorder
        self.views: list[LocalState] = []

    def show(self, state: Literal["connected", "disconnected"]) -> None:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        status = Status(pid=os.getpid(), connected=state == "connected", since=since)
        self._recorder.submit(write_status, self._folder, status)
        for view in self.views:
            view.connected = status["connected"]


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
