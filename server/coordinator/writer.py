"""The coordinator's own language model: loaded at first use, since `best`, `vote` and `medoid` need none."""

import asyncio
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from frag.settings import ModelSettings
from server.node.inference import InferenceWorker


class LazyWriter:
    """Hands out one inference worker, started once however many ask at the same time."""

    def __init__(self, models: ModelSettings) -> None:
        self._models = models
        self._stack = AsyncExitStack()
        self._lock = asyncio.Lock()
        self._worker: InferenceWorker | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def worker(self) -> InferenceWorker:
        """Raises ModelError when the model is missing or corrupt."""
        async with self._lock:
            if self._worker is None:
                from server.node.assembly import inference_worker

                self._worker = await self._stack.enter_async_context(inference_worker(self._models))
            return self._worker
