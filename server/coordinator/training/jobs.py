"""Training jobs: one runs at a time, the oldest that has the nodes it needs; a restart goes on where it was."""

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import msgspec
import structlog

from frag.errors import ConflictError, FragError
from prompt_tuning.client_privacy import check_population
from prompt_tuning.job import JobSettings
from prompt_tuning.privacy import promise
from prompt_tuning.spending import check_budget
from server.coordinator.tables import JobRow
from server.coordinator.training.public_phase import PublicData
from server.coordinator.training.records import ENDED, TrainingRecords, rounds_view
from server.coordinator.training.runner import JobRunner

_log = structlog.get_logger()
_MAX_EVENTS = 2000
_LOOK_S = 0.5
"""How often it is seen whether the nodes of a waiting job have come."""

Event = tuple[str, Mapping[str, Any]]
OnEvent = Callable[[str, Mapping[str, Any]], None]
"""Told of every event of every job."""


@dataclass(slots=True)
class _Stream:
    """Events of one job since this process began, and who listens."""

    events: deque[Event] = field(default_factory=lambda: deque(maxlen=_MAX_EVENTS))
    listeners: set[asyncio.Queue[Event]] = field(default_factory=set)


class JobService:
    """Owns the task that runs jobs. Use as an async context manager."""

    def __init__(
        self, records: TrainingRecords, runner: JobRunner, public: PublicData, on_event: OnEvent = lambda *_event: None
    ) -> None:
        self._on_event = on_event
        self._records = records
        self._runner = runner
        self._public = public
        self._pending: list[str] = []
        self._asked = asyncio.Event()
        self._streams: dict[str, _Stream] = {}
        self._current: tuple[str, asyncio.Task[None]] | None = None
        self._worker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        for row in await self._records.jobs():
            if row.state not in ENDED:
                self.enqueue(row.job_id)
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._worker is not None:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker

    async def create(self, job: JobSettings) -> str:
        """Queues a job and returns its id; durable when it returns. Raises as `admit` does."""
        await self.admit(job)
        job_id = f"{job.name[:51].replace('_', '-')}-{secrets.token_hex(4)}"
        await self._records.add_job(job_id, job.model_dump_json())
        self.enqueue(job_id)
        return job_id

    async def admit(self, job: JobSettings) -> None:
        """Checks a job before it is taken.

        Raises:
            BadRequestError: Its public data is not here, or there are too few nodes for its privacy.
            LedgerError: It costs more than its privacy budget.
        """
        check_population(job)
        await asyncio.to_thread(check_budget, job)
        await self._public.check(job)

    def enqueue(self, job_id: str) -> None:
        """Lets a job that is recorded as queued have its turn."""
        self._pending.append(job_id)
        self._asked.set()

    async def cancel(self, job_id: str) -> None:
        """Stops a job at once. Committed rounds stay. Raises NotFoundError, or ConflictError when it has ended."""
        row = await self._records.job(job_id)
        if row.state in ENDED:
            raise ConflictError(f"The job {job_id} is {row.state} already.")
        await self._records.set_state(job_id, "cancelled")
        if self._current is not None and self._current[0] == job_id:
            self._current[1].cancel()
        self._emit(job_id, "cancelled", {})

    async def resume(self, job_id: str) -> None:
        """Queues a cancelled or failed job again. Raises NotFoundError, or ConflictError when it has not ended so."""
        row = await self._records.job(job_id)
        if row.state not in {"cancelled", "failed"}:
            raise ConflictError(f"The job {job_id} is {row.state}.", "Only cancelled and failed jobs are resumed.")
        await self._records.set_state(job_id, "queued")
        self.enqueue(job_id)

    async def view(self, job_id: str) -> dict[str, Any]:
        """State, rounds and metrics of a job as JSON types. Raises NotFoundError."""
        row = await self._records.job(job_id)
        versions = [row for row in await self._records.prompts() if row.job_id == job_id]
        final = msgspec.json.decode(versions[-1].metrics) if versions else {}
        view, records = _job_view(row), await self._records.rounds(job_id)
        # a written candidate is measured in its own round
        written = view["job"]["method"]["kind"] == "template"
        rounds = [r.view() for r in records if r.round_num] if written else rounds_view(records, final)
        names = [row.version for row in versions]
        promised = {"privacy": _promise(view["job"], final)}
        return {**view, **promised, "waiting": self._waiting(view), "rounds": rounds, "versions": names}

    def _waiting(self, view: Mapping[str, Any]) -> str:
        """What a job waits for; empty when it waits for nothing."""
        job = view["job"]
        connected, needed = self._num_trainers(job["dataset"]), job["rounds"]["min_replies"]
        if view["state"] in ENDED:
            return ""
        if connected < needed:
            return f"{connected} of {needed} nodes needed that hold {job['dataset']} are connected"
        if view["state"] == "queued" and self._current is not None and self._current[0] != view["job_id"]:
            return f"{self._current[0]} runs before it"
        return ""

    def _num_trainers(self, dataset: str) -> int:
        return len(self._runner.registry.trainers(dataset))

    async def listed(self) -> list[dict[str, Any]]:
        """All jobs, oldest first, without their rounds."""
        return [_job_view(row) for row in await self._records.jobs()]

    async def events(self, job_id: str) -> AsyncIterator[Event]:
        """What happens to a job, from the start of this process on, until it ends. Raises NotFoundError."""
        ended = (await self._records.job(job_id)).state in ENDED
        stream = self._streams.setdefault(job_id, _Stream())
        queue: asyncio.Queue[Event] = asyncio.Queue()
        for event in stream.events:
            queue.put_nowait(event)
        if ended:
            queue.put_nowait(("end", {}))
        stream.listeners.add(queue)
        try:
            while True:
                event = await queue.get()
                if event[0] == "end":
                    return
                yield event
                if event[0] in ENDED:
                    return
        finally:
            stream.listeners.discard(queue)

    def _emit(self, job_id: str, name: str, content: Mapping[str, Any]) -> None:
        self._on_event(name, content)
        stream = self._streams.setdefault(job_id, _Stream())
        stream.events.append((name, content))
        for queue in stream.listeners:
            queue.put_nowait((name, content))

    async def _work(self) -> None:
        while True:
            job_id = await self._next_ready()
            task = asyncio.create_task(self._run(job_id))
            self._current = (job_id, task)
            try:
                await asyncio.wait([task])
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                self._current = None

    async def _next_ready(self) -> str:
        """The oldest job that has enough nodes: one that waits for a data set holds up no other."""
        while True:
            self._asked.clear()
            for job_id in list(self._pending):
                row = await self._records.job(job_id)
                job = msgspec.json.decode(row.settings)
                ended = row.state in ENDED
                if ended or self._num_trainers(job["dataset"]) >= job["rounds"]["min_replies"]:
                    self._pending.remove(job_id)
                    if not ended:
                        return job_id
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), _LOOK_S if self._pending else None)

    async def _run(self, job_id: str) -> None:
        """One job to its end; what goes wrong is its state, never the service's."""
        try:
            await self._records.set_state(job_id, "running")
            version = await self._runner.run(job_id, lambda name, content: self._emit(job_id, name, content))
            await self._records.set_state(job_id, "done")
            self._emit(job_id, "done", {"version": version})
        except FragError as error:
            await self._records.set_state(job_id, "failed", error.what)
            self._emit(job_id, "failed", {"code": error.code, "detail": error.what})
        except Exception as error:  # noqa: BLE001 - a bug fails its job, not the jobs behind it
            _log.error("job_failed", job=job_id, error=type(error).__name__)
            await self._records.set_state(job_id, "failed", type(error).__name__)
            self._emit(job_id, "failed", {"code": "internal", "detail": type(error).__name__})


def _promise(settings: Mapping[str, Any], spent: Mapping[str, float]) -> str:
    """What the job claims in plain words, with what was spent once it is done; empty where there is no claim."""
    if settings.get("privacy", {"mode": "none"})["mode"] == "none":
        return ""
    job = JobSettings.model_validate(settings)
    claim = promise(job)
    if "epsilon_sampling_known" in spent:
        claim += (
            f" Spent in {spent['rounds']:.0f} of {job.rounds.number} rounds: ε = {spent['epsilon']:.3g}; "
            f"{spent['epsilon_sampling_known']:.3g} against those who know who took part."
        )
        if spent["rounds"] < job.rounds.number:
            claim += " The job stopped there: the next round is over its budget."
    return claim


def _job_view(row: JobRow) -> dict[str, Any]:
    # not checked again: a job that an older version took is still shown
    job = msgspec.json.decode(row.settings)
    written = job["method"].get("candidates")
    return {
        "job_id": row.job_id,
        "state": row.state,
        "error": row.error,
        "num_rounds": len(written) if written else job["rounds"]["number"],
        "created_at": row.created_at.isoformat(),
        "job": job,
    }
