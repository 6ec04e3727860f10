"""The inference worker: one thread owns the language model and answers whatever is waiting as one batch."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

from frag.errors import FragError, RateLimitedError
from frag.protocols import LanguageModel, TextListener
from frag.types import Adaptation, Generation, GenerationRequest
from server.telemetry.observation import passed

MAX_WAITING = 512
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Job:
    """`adaptation` is the one that was live when the request was admitted."""

    request: GenerationRequest
    adaptation: Adaptation | None
    done: asyncio.Future[Generation]
    loop: asyncio.AbstractEventLoop
    listener: TextListener | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
    asked_s: float = field(default_factory=time.perf_counter)
    begun_s: float = 0.0
    """When its batch began."""


@dataclass(slots=True, eq=False)
class _Call:
    """Work for the thread that owns the model."""

    work: Callable[[LanguageModel], Any]
    done: asyncio.Future[Any]


class InferenceWorker:
    """Batches concurrent requests: waits at most `gather_s` for company, then takes up to `max_batch`.

    While a batch runs, newcomers queue and form the next one, so under load batches fill by themselves. A thread, not
    a process: torch releases the GIL in its kernels, and the passages need not be copied.
    """

    def __init__(self, load: Callable[[], LanguageModel], max_batch: int, gather_s: float) -> None:
        self._load = load
        self._max_batch = max_batch
        self._gather_s = gather_s
        self._waiting: queue.Queue[_Job | _Call | None] = queue.Queue(MAX_WAITING)
        self._held: _Job | None = None
        self._live: Adaptation | None = None
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._loaded: asyncio.Future[None] | None = None

    @property
    def live(self) -> Adaptation | None:
        """The adaptation that newly admitted requests are answered with."""
        return self._live

    async def go_live(self, adaptation: Adaptation | None) -> None:
        """Answers requests from now on with `adaptation`; None for the model as it is.

        Those under way keep the one that they were admitted with.

        Raises:
            ModelError: It does not fit the model; what was live stays live.
        """
        if adaptation is not None:
            await self.call(lambda model: model.check(adaptation))
        self._live = adaptation

    async def call(self, work: Callable[[LanguageModel], T]) -> T:
        """Runs `work` on the thread that owns the model, between two batches, and returns or raises what it does.

        It cannot be stopped from here: `work` asks for itself whether it should go on.
        """
        call = _Call(work, asyncio.get_running_loop().create_future())
        await asyncio.to_thread(self._waiting.put, call)
        done: T = await call.done
        return done

    async def __aenter__(self) -> Self:
        """Starts the thread and waits until the model is loaded. Raises what loading raised."""
        self._loaded = loaded = asyncio.get_running_loop().create_future()
        self._thread.start()
        try:
            await asyncio.shield(loaded)
        except asyncio.CancelledError:
            # loading cannot be broken off, and the thread must not outlive the loop that it reports to
            await asyncio.to_thread(self._stop)
            if loaded.done():
                loaded.exception()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        while self._thread.is_alive():
            try:
                self._waiting.put(None, timeout=0.1)
                break
            except queue.Full:
                self._discard()
        self._thread.join()
        self._discard()

    def _discard(self) -> None:
        while True:
            try:
                job = self._waiting.get_nowait()
            except queue.Empty:
                return
            if job is not None:
                job.done.get_loop().call_soon_threadsafe(job.done.cancel)

    async def generate(self, request: GenerationRequest, listener: TextListener | None = None) -> Generation:
        """Cancelling the call stops the row between two decoding steps.

        `listener` is called on the event loop with the text so far, and no longer once the call is done.

        Raises:
            RateLimitedError: More than MAX_WAITING requests are queued.
            FragError: The model failed on this batch.
        """
        loop = asyncio.get_running_loop()
        adaptation = None if request.instruction else self._live
        job = _Job(request, adaptation, loop.create_future(), loop, listener)
        try:
            self._waiting.put_nowait(job)
        except queue.Full as error:
            raise RateLimitedError("The language model's queue is full.", "Try again shortly.") from error
        try:
            written = await job.done
        except asyncio.CancelledError:
            job.cancelled.set()
            raise
        read = written.prefill_s
        decode = max(0.0, time.perf_counter() - job.begun_s - read)
        passed(queue=job.begun_s - job.asked_s, prefill=read, decode=decode)
        return written

    def _run(self) -> None:
        loaded = self._loaded
        if loaded is None:
            raise RuntimeError("the worker is entered before its thread starts")
        loop = loaded.get_loop()
        try:
            model = self._load()
        except BaseException as error:  # noqa: BLE001 - carried to the waiting coroutine, whatever it is
            loop.call_soon_threadsafe(_fail, loaded, error)
            return
        loop.call_soon_threadsafe(loaded.set_result, None)
        while batch := self._next_batch(model):
            self._answer(model, batch)

    def _next_batch(self, model: LanguageModel) -> list[_Job]:
        """Blocks until somebody asks. All of a batch have one adaptation. An empty list ends the worker."""
        batch: list[_Job] = [self._held] if self._held else []
        self._held = None
        until = time.monotonic() + self._gather_s
        while len(batch) < self._max_batch:
            try:
                job = self._waiting.get(timeout=max(0.0, until - time.monotonic()) if batch else None)
            except queue.Empty:
                break
            if job is None:
                if batch:
                    self._waiting.put(None)
                break
            if isinstance(job, _Call):
                _carry_out(model, job)
                continue
            if job.cancelled.is_set():
                continue
            if batch and job.adaptation is not batch[0].adaptation:
                self._held = job
                break
            if not batch:
                until = time.monotonic() + self._gather_s
            batch.append(job)
        return batch

    def _answer(self, model: LanguageModel, batch: Sequence[_Job]) -> None:
        begun_s = time.perf_counter()
        for job in batch:
            job.begun_s = begun_s
        try:
            written = model.generate(
                [job.request for job in batch],
                lambda row: batch[row].cancelled.is_set(),
                batch[0].adaptation,
                {row: _told(job, job.listener) for row, job in enumerate(batch) if job.listener},
            )
        except (FragError, RuntimeError, ValueError, MemoryError) as error:
            for job in batch:
                job.loop.call_soon_threadsafe(_fail, job.done, error)
            return
        for job, generation in zip(batch, written, strict=True):
            job.loop.call_soon_threadsafe(_finish, job.done, generation)


def _told(job: _Job, listener: TextListener) -> TextListener:
    """Carries texts to the loop of whoever waits, in order and before the result."""

    def tell(text: str) -> None:
        if not job.done.done():
            listener(text)

    def carry(text: str) -> None:
        job.loop.call_soon_threadsafe(tell, text)

    return carry


def _carry_out(model: LanguageModel, call: _Call) -> None:
    loop = call.done.get_loop()
    try:
        result = call.work(model)
    except (FragError, RuntimeError, ValueError, MemoryError) as error:
        loop.call_soon_threadsafe(_fail, call.done, error)
        return
    loop.call_soon_threadsafe(_finish, call.done, result)


def _finish(future: asyncio.Future[Any], result: object) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
