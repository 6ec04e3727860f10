"""The application of the node's own page and API, and its life inside the node's process."""

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import msgspec
import structlog
from aiohttp import web

from frag.durable import write_private
from frag.errors import SettingsError
from frag.listening import LocalSettings
from frag.settings import NodeSettings
from server.node.answering import NodeAnswering
from server.node.feedback.desk import FeedbackDesk
from server.node.gate import Gate
from server.node.leaving import Tally
from server.node.live_prompt import LivePrompt
from server.node.local.access import add_headers, guard, local_token
from server.node.local.client import Address
from server.node.local.deciding import feedback_routes
from server.node.local.documents import shelves
from server.node.local.receiving import sweep
from server.node.local.routes import STATE, LocalState, routes
from server.node.local.watching import FolderWatcher
from server.node.state import NodeFolder
from server.node.training.desk import TrainingDesk
from server.node.training.forgetting import TrainingMemory
from server.problems import problems

_log = structlog.get_logger()
_MAX_BODY_BYTES = 1 << 16
"""Of requests in JSON; documents are streamed."""


@asynccontextmanager
async def operators_view(
    folder: NodeFolder,
    settings: NodeSettings,
    answering: NodeAnswering,
    gate: Gate,
    *,
    memory: TrainingMemory | None = None,
    trains: TrainingDesk | None = None,
    prompts: LivePrompt | None = None,
    order_embedder: Callable[[str], None] | None = None,
    feedback: FeedbackDesk | None = None,
) -> AsyncIterator[LocalState]:
    """Follows watched folders, and serves the page and the API, if the settings say so.

    Raises:
        SettingsError: The address cannot be bound.
    """
    async with AsyncExitStack() as stack:
        adding = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="adding"))
        deleting = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="deleting"))
        following = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="following"))
        ending = threading.Event()
        stack.callback(ending.set)
        held = shelves(
            settings.collections,
            answering.stores,
            memory,
            ending,
            answering.forget,
            partial(answering.indices.writing, folder.index),
        )
        watchers = {
            c.name: FolderWatcher(shelf=held[c.name], thread=following) for c in settings.collections if c.watch
        }
        state = LocalState(
            folder=folder,
            settings=settings,
            answering=answering,
            gate=gate,
            shelves=held,
            watchers=watchers,
            tally=Tally(gate.journal, settings.policy.dp.delta),
            adding=adding,
            deleting=deleting,
            trains=trains,
            prompts=prompts,
            order_embedder=order_embedder,
            feedback=feedback,
        )
        for collection in settings.collections:
            await asyncio.to_thread(sweep, collection.folder)
        for watcher in watchers.values():
            watcher.on_forgotten = state.note_forgotten
            stack.push_async_callback(_cancelled, asyncio.create_task(watcher.run()))
        if settings.local.enabled:
            await stack.enter_async_context(_served(state))
        yield state


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def make_local_app(state: LocalState, token: str) -> web.Application:
    """The application, without a socket."""
    names = frozenset(state.settings.local.names)
    app = web.Application(middlewares=[problems, guard(token, names)], client_max_size=_MAX_BODY_BYTES)
    app.add_routes(routes)
    app.add_routes(feedback_routes)
    app.on_response_prepare.append(add_headers)
    app[STATE] = state
    return app


@asynccontextmanager
async def _served(state: LocalState) -> AsyncIterator[None]:
    local = state.settings.local
    token = await asyncio.to_thread(local_token, state.folder.local_token)
    runner = web.AppRunner(
        make_local_app(state, token), access_log=None, handler_cancellation=False, shutdown_timeout=5
    )
    await runner.setup()
    try:
        address = await _bind(runner, local)
        await asyncio.to_thread(write_private, state.folder.local_address, msgspec.json.encode(address))
        _log.info("local_api_ready", address=address.url)
        yield
    finally:
        await runner.cleanup()
        await asyncio.to_thread(state.folder.local_address.unlink, missing_ok=True)


async def _bind(runner: web.AppRunner, local: LocalSettings) -> Address:
    site = web.TCPSite(runner, local.host, local.port, ssl_context=await asyncio.to_thread(_tls, local))
    try:
        await site.start()
    except OSError as error:
        raise SettingsError(
            f"{local.host}:{local.port} cannot be bound: {error.strerror}.",
            "Stop the process that holds it, or change host and port under [local] in node.toml.",
        ) from error
    host = f"[{local.host}]" if ":" in local.host else local.host
    scheme = "https" if local.tls else "http"
    return await asyncio.to_thread(Address.of_this_process, f"{scheme}://{host}:{runner.addresses[0][1]}")


def _tls(local: LocalSettings) -> ssl.SSLContext | None:
    if local.tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_cert_chain(local.tls.certificate, local.tls.private_key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError("The certificate under [local.tls] cannot be used.", "Give PEM files.") from error
    return context
