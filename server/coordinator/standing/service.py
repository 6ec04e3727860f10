"""Starts runs of standing jobs when they are due, and decides what goes live. What it knows is in the database."""

import asyncio
import contextlib
import json
import math
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import msgspec
import structlog
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from frag.errors import ConflictError, FragError
from frag.sampling import derive_seed
from prompt_tuning.gate import Verdict, judge
from prompt_tuning.job import JobSettings
from prompt_tuning.standing import StandingSettings
from server.coordinator.links import Registry
from server.coordinator.standing.measuring import sides
from server.coordinator.standing.records import StandingRecords, run_row
from server.coordinator.standing.starting import unfit_to_start
from server.coordinator.standing.trigger import Declared, due, met, num_new
from server.coordinator.tables import DecisionRow, JobRow, StandingRow
from server.coordinator.training.jobs import JobService
from server.coordinator.training.records import ENDED, TrainingRecords
from server.coordinator.training.versions import Versions

_log = structlog.get_logger()
_LOOK_S = 1.0
"""How often it is seen whether a run is due or over."""


class StandingService:
    """Owns the task that looks. Use as an async context manager, inside that of `jobs`.

    Args:
        records: Of standing jobs.
        training: Of the jobs that are their runs.
        jobs: What plays the runs.
        versions: What is live.
        registry: Nodes and what they declare.
        clock: Seconds since 1970, which the cool-down is counted by over restarts.
    """

    def __init__(
        self,
        records: StandingRecords,
        training: TrainingRecords,
        jobs: JobService,
        versions: Versions,
        registry: Registry,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._records = records
        self._training = training
        self._jobs = jobs
        self._versions = versions
        self._registry = registry
        self._clock = clock
        self._worker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
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
        """Keeps a standing job and returns its id; durable when it returns. Raises as `JobService.admit` does."""
        await self._jobs.admit(job)
        standing_id = f"{job.name[:40].replace('_', '-')}-{secrets.token_hex(4)}"
        await self._records.add(standing_id, job.model_dump_json())
        return standing_id

    async def knows(self, standing_id: str) -> bool:
        """Whether it is one of these."""
        return await self._records.find(standing_id) is not None

    async def pause(self, standing_id: str) -> None:
        """No run starts; one under way is played and decided. Raises NotFoundError or ConflictError."""
        await self._move(standing_id, "waiting", "paused")

    async def resume(self, standing_id: str) -> None:
        """Runs may start again. Raises NotFoundError or ConflictError."""
        await self._move(standing_id, "paused", "waiting")

    async def _move(self, standing_id: str, before: str, after: str) -> None:
        row = await self._records.get(standing_id)
        if row.state != before:
            raise ConflictError(f"The standing job {standing_id} is {row.state}.")
        await self._records.set_state(standing_id, after)

    async def cancel(self, standing_id: str) -> None:
        """Ends it and the run under way. Raises NotFoundError or ConflictError."""
        row = await self._records.get(standing_id)
        if row.state == "cancelled":
            raise ConflictError(f"The standing job {standing_id} is cancelled already.")
        await self._records.set_state(standing_id, "cancelled")
        if row.run_id:
            with contextlib.suppress(ConflictError):
                await self._jobs.cancel(row.run_id)

    async def listed(self) -> list[dict[str, Any]]:
        """All of them as JSON types, oldest first."""
        return [await self._view(row) for row in await self._records.all()]

    async def view(self, standing_id: str) -> dict[str, Any]:
        """One of them. Raises NotFoundError."""
        return await self._view(await self._records.get(standing_id))

    async def _view(self, row: StandingRow) -> dict[str, Any]:
        settings = msgspec.json.decode(row.settings)
        return {
            "job_id": row.standing_id,
            "state": "running" if row.run_id else row.state,
            "standing": True,
            "num_runs": row.num_runs,
            "run": row.run_id,
            "waiting": "" if row.run_id or row.state != "waiting" else await self._waits_for(row),
            "created_at": row.created_at.isoformat(),
            "job": settings,
            "num_rounds": settings["rounds"]["number"],
            "error": "",
            "versions": [decision.job_id for decision in await self._promoted(row.standing_id)],
            "rounds": [],
        }

    async def decisions(self) -> Sequence[DecisionRow]:
        """What came of all runs, oldest first."""
        return await self._records.decisions()

    async def _promoted(self, standing_id: str) -> list[DecisionRow]:
        rows = await self._records.decisions()
        return [row for row in rows if row.standing_id == standing_id and row.decision == "promoted"]

    async def _waits_for(self, row: StandingRow) -> str:
        job, standing = _settings(row)
        if (left_s := standing.cooldown_s - self._resting_s(row)) > 0:
            return f"rests for {left_s:.0f} s more"
        if reason := await self._blocked(job):
            return reason
        new = num_new(json.loads(row.seen), self._declared(job))
        told = ", ".join(f"{node} {number}" for node, number in sorted(new.items())) or "no node is connected"
        return f"new examples: {told}; {standing.min_nodes} nodes with {standing.min_new_examples} start a run"

    async def _work(self) -> None:
        while True:
            try:
                for row in await self._records.all():
                    await self._try(row)
            except SQLAlchemyError as error:
                _log.warning("standing_failed", error=type(error).__name__)
            await asyncio.sleep(_LOOK_S)

    async def _try(self, row: StandingRow) -> None:
        """One that cannot go on, such as one that an older version took, holds up no other."""
        try:
            await self._look(row)
        except (FragError, ValidationError) as error:
            _log.warning("standing_failed", standing=row.standing_id, error=type(error).__name__)

    async def _look(self, row: StandingRow) -> None:
        if row.run_id:
            run = await self._training.job(row.run_id)
            if run.state in ENDED:
                await self._settle(row, run)
        elif row.state == "waiting":
            await self._consider(row)

    async def _consider(self, row: StandingRow) -> None:
        """Starts a run when it is due."""
        job, standing = _settings(row)
        declared, seen = self._declared(job), json.loads(row.seen)
        if (now := met(seen, declared)) != seen:
            await self._records.note_seen(row.standing_id, now)
        cause = due(standing, now, declared, self._resting_s(row))
        if not cause or await self._blocked(job):
            return
        number = row.num_runs + 1
        run_id = f"{row.standing_id}-{number}"
        run = job.model_copy(
            update={
                "standing": standing.model_copy(update={"series": row.standing_id}),
                "seed": derive_seed(job.seed, "run", number) % 2**31,
            }
        )
        start = await self._versions.live()
        await self._records.start_run(
            row.standing_id,
            run_row(run_id, run.model_dump_json(), standing_id=row.standing_id, start_version=start, cause=cause),
            {**now, **{node: said.num_examples for node, said in declared.items()}},
        )
        _log.info("run_started", standing=row.standing_id, run=run_id, cause=cause)
        self._jobs.enqueue(run_id)

    async def _blocked(self, job: JobSettings) -> str:
        """Why no run could start from what is live; empty when it could."""
        live = await self._versions.live()
        return unfit_to_start(job, await self._versions.adaptation(live) if live else None)

    def _declared(self, job: JobSettings) -> dict[str, Declared]:
        return {
            node: Declared(
                num_examples=link.ready.dataset_sizes.get(job.dataset, 0),
                sees_drift=link.ready.drift is not None and link.ready.drift.is_seen,
            )
            for node, link in self._registry.trainers(job.dataset).items()
        }

    def _resting_s(self, row: StandingRow) -> float:
        # a clock that was set back must not keep it resting for ever
        return math.inf if not row.rested_from else abs(self._clock() - row.rested_from)

    async def _settle(self, row: StandingRow, run: JobRow) -> None:
        """Decides what becomes of a run that has ended. Asked again after a crash it comes to the same end."""
        live = await self._versions.live()
        metrics: dict[str, float] = {}
        if run.state != "done":
            verdict = Verdict(decision="failed", reason=f"{run.state}: {run.error}".strip(": "))
        else:
            metrics = json.loads((await self._training.prompt(run.job_id)).metrics)
            verdict = self._judged(row, run, live, metrics)
        if verdict.decision == "promoted" and live != run.job_id:
            await self._versions.promote(run.job_id)
        await self._records.decide(
            row.standing_id,
            DecisionRow(
                standing_id=row.standing_id,
                job_id=run.job_id,
                live=run.start_version if live == run.job_id else live,
                decision=verdict.decision,
                reason=verdict.reason[:300],
                cause=run.cause,
                metrics=json.dumps(metrics),
            ),
        )
        _log.info("run_decided", run=run.job_id, decision=verdict.decision, reason=verdict.reason)

    def _judged(self, row: StandingRow, run: JobRow, live: str, metrics: Mapping[str, float]) -> Verdict:
        if live not in {run.start_version, run.job_id}:
            return Verdict(decision="superseded", reason=f"{live or 'the model as it is'} went live meanwhile")
        return judge(*sides(metrics), _settings(row)[1].margin)


def _settings(row: StandingRow) -> tuple[JobSettings, StandingSettings]:
    job = JobSettings.model_validate_json(row.settings)
    return job, job.standing or StandingSettings()
