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
        self._expected: asyncio.Task[InferenceWorker] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._expected is not None:
            self._expected.cancel()
            await asyncio.gather(self._expected, return_exceptions=True)
        await self._stack.aclose()

    def expect(self) -> None:
        """Begins to load while nodes answer; what goes wrong is told to whoever asks for the worker."""
        if self._expected is None or self._expected.done():
            self._expected = asyncio.create_task(self.worker())
            self._expected.add_done_callback(_look_away)

    async def worker(self) -> InferenceWorker:
        """Raises ModelError when the model is missing or corrupt."""
        async with self._lock:
            if self._worker is None:
                from server.node.assembly import inference_worker

                self._worker = await self._stack.enter_async_context(inference_worker(self._models))
            return self._worker


def _look_away(task: "asyncio.Task[InferenceWorker]") -> None:
    """Takes note of a failure, which is raised anew where the worker is needed."""
    if not task.cancelled():
        task.exception()
