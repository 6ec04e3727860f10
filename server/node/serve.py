"""Runs a node until a signal ends it."""

import asyncio
import contextlib
import os
import signal
from datetime import UTC, datetime

import structlog

from frag.telemetry import configure_logging
from server.node.process import NodeProcess
from server.node.state import NodeFolder, Status, write_status

_log = structlog.get_logger()


def serve(folder: NodeFolder) -> None:
    """Blocks until SIGINT or SIGTERM.

    Raises:
        SettingsError: `node.toml` is wrong, or the node is not enrolled.
        ModelError: A model is missing or corrupt.
        IndexStoreError: An index cannot be opened.
    """
    configure_logging()
    asyncio.run(_serve(folder))


async def _serve(folder: NodeFolder) -> None:
    from server.node.assembly import open_answering

    settings = folder.settings()
    peer = folder.peer(settings)

    def show(connected: bool) -> None:  # noqa: FBT001 - the signature of on_state
        since = datetime.now(UTC).isoformat(timespec="seconds")
        write_status(folder, Status(pid=os.getpid(), connected=connected, since=since))

    show(connected=False)
    async with open_answering(
        node_id=settings.node_id,
        models=settings.models,
        policy=settings.policy,
        collections=settings.collections,
        index_folder=folder.index,
        alias_key=folder.alias_key(),
    ) as answering:
        _log.info("node_ready", node=settings.node_id, num_documents=answering.describe()[2])
        await run_until_signal(NodeProcess(peer, answering, show))


async def run_until_signal(process: NodeProcess) -> None:
    """Serves connections until SIGINT or SIGTERM, then ends them."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("run_until_signal belongs inside a task")
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await process.run()
    task.uncancel()
    _log.info("node_stopping")
