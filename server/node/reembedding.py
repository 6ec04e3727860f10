"""Keeps a running node at the embedder that is wanted: looks, and changes over while answers go on."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import structlog

from frag.errors import FragError
from frag.protocols import Embedder
from retrievers.generations import read_live
from server.node.changeover import Changeover, Order, end_order, fits, is_same, read_order, wanted_model, write_order
from server.node.indices import LiveIndices

_log = structlog.get_logger()
_LOOK_S = 2.0
_RETRY_S = 5.0
_LEAST_PRIORITY = 19
_SWAP_S = 60.0

Load = Callable[[str], Embedder]
OnEmbedder = Callable[[str], Awaitable[None]]


class Reembedding:
    """`run` until cancelled; what was begun then is taken up by the next start.

    Args:
        index_folder: Of the node.
        configured: The embedder that the settings name.
        indices: What is searched.
        load: Makes an embedder. Raises ModelError.
        share: Of the time that embedding takes.
        on_embedder: Told of the new embedder's fingerprint in the moment before it is searched with.
        check: Raises ModelError for an embedder that there is not, before it is asked for.
    """

    def __init__(
        self,
        index_folder: Path,
        configured: str,
        indices: LiveIndices,
        load: Load,
        *,
        share: float,
        on_embedder: OnEmbedder | None = None,
        check: Callable[[str], object] = lambda _model: None,
    ) -> None:
        self._folder = index_folder
        self._configured = configured
        self._indices = indices
        self._load = load
        self._share = share
        self._on_embedder = on_embedder
        self._check = check
        self._ending = threading.Event()
        self._ordering = threading.Lock()

    def order(self, model: str) -> None:
        """Asks for an embedder; durable. Blocking. Raises ModelError, and asks for nothing, when there is none."""
        self._check(model)
        with self._ordering:
            write_order(self._folder, Order(model=model, asked_for=self._configured))

    async def run(self) -> None:
        """Looks again and again, and changes over when another embedder is wanted."""
        loop = asyncio.get_running_loop()
        thread = ThreadPoolExecutor(1, thread_name_prefix="reembedding", initializer=_step_back)
        try:
            while True:
                done = await loop.run_in_executor(thread, self._look, loop)
                await asyncio.sleep(_LOOK_S if done else _RETRY_S)
        finally:
            self._ending.set()
            await asyncio.to_thread(thread.shutdown)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Runs for the time of the block."""
        task = asyncio.create_task(self.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _look(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether all is as it is wanted, if need be by now."""
        with self._ordering:
            model = wanted_model(self._folder, self._configured)
            if self._is_as_wanted(model):
                return True
            order = Order(model=model, asked_for=self._configured)
            if not is_same(read_order(self._folder), order):
                write_order(self._folder, order)
        try:
            self._change(order, loop)
        except (FragError, OSError, TimeoutError) as error:
            if not self._ending.is_set():
                self._note(order, error.what if isinstance(error, FragError) else type(error).__name__)
            return False
        with self._ordering:
            end_order(self._folder, order)
        return True

    def _note(self, order: Order, reason: str) -> None:
        _log.warning("not_reembedded", model=order.model, reason=reason)
        with self._ordering, suppress(OSError):
            if (known := read_order(self._folder)) is not None and is_same(known, order):
                write_order(self._folder, msgspec.structs.replace(known, error=reason))

    def _is_as_wanted(self, model: str) -> bool:
        live = read_live(self._folder)
        if live is None or live.model != model or read_order(self._folder) is not None:
            return False
        now = self._indices.now
        return all(fits(store, now.embedder) for store in now.stores.values())

    def _change(self, order: Order, loop: asyncio.AbstractEventLoop) -> None:
        embedder = self._load(order.model)
        now = self._indices.now
        stale = [name for name, store in now.stores.items() if not fits(store, embedder)]
        _log.info("reembedding", model=order.model, collections=stale)

        def tell() -> None:
            if self._on_embedder is not None:
                told = asyncio.run_coroutine_threadsafe(_awaited(self._on_embedder(embedder.fingerprint)), loop)
                told.result(_SWAP_S)

        change = Changeover(self._folder, order, embedder, self._ending, self._share)
        change.run(now.stores, self._indices.change, self._indices.holding, tell)
        _log.info("reembedded", model=order.model)


async def _awaited(told: Awaitable[None]) -> None:
    await told


def _step_back() -> None:
    """Questions come first."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LEAST_PRIORITY)
