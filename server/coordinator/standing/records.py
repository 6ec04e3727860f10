"""What is durable of standing jobs. Every verb is one transaction."""

import json
import time
from collections.abc import Mapping, Sequence

from sqlalchemy import select

from frag.errors import NotFoundError
from server.coordinator.database import Database
from server.coordinator.tables import DecisionRow, JobRow, StandingRow
from server.coordinator.training.records import NEW_JOB


class StandingRecords:
    """The verbs of `service` on the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, standing_id: str, settings: str) -> None:
        """A new standing job, waiting for its first run."""
        async with self._database.transaction("standing_added", standing_id) as session:
            session.add(
                StandingRow(
                    standing_id=standing_id,
                    settings=settings,
                    state="waiting",
                    seen="{}",
                    run_id="",
                    num_runs=0,
                    rested_from=0.0,
                )
            )

    async def all(self) -> Sequence[StandingRow]:
        """Every standing job, oldest first."""
        async with self._database.transaction() as session:
            query = select(StandingRow).order_by(StandingRow.created_at, StandingRow.standing_id)
            return (await session.scalars(query)).all()

    async def find(self, standing_id: str) -> StandingRow | None:
        """One of them, if it is there."""
        async with self._database.transaction() as session:
            return await session.get(StandingRow, standing_id)

    async def get(self, standing_id: str) -> StandingRow:
        """Raises NotFoundError."""
        row = await self.find(standing_id)
        if row is None:
            raise NotFoundError(f"There is no standing job {standing_id!r}.", "`frag jobs list` shows them.")
        return row

    async def set_state(self, standing_id: str, state: str) -> None:
        """waiting, paused or cancelled."""
        async with self._database.transaction(f"standing_{state}", standing_id) as session:
            (await session.get_one(StandingRow, standing_id)).state = state

    async def note_seen(self, standing_id: str, seen: Mapping[str, int]) -> None:
        """What counts as met from now on."""
        async with self._database.transaction() as session:
            (await session.get_one(StandingRow, standing_id)).seen = json.dumps(dict(seen))

    async def start_run(self, standing_id: str, run: JobRow, seen: Mapping[str, int]) -> None:
        """The run is a queued job, and what the nodes hold now counts as met: both or neither."""
        async with self._database.transaction("standing_run", run.job_id) as session:
            row = await session.get_one(StandingRow, standing_id)
            row.run_id, row.num_runs, row.seen = run.job_id, row.num_runs + 1, json.dumps(dict(seen))
            session.add(run)

    async def decide(self, standing_id: str, decision: DecisionRow) -> None:
        """The run is over, and this came of it."""
        async with self._database.transaction(f"run_{decision.decision}", decision.job_id) as session:
            row = await session.get_one(StandingRow, standing_id)
            row.run_id, row.rested_from = "", time.time()
            session.add(decision)

    async def decisions(self) -> Sequence[DecisionRow]:
        """All of them, oldest first."""
        async with self._database.transaction() as session:
            return (await session.scalars(select(DecisionRow).order_by(DecisionRow.decision_id))).all()


def run_row(job_id: str, settings: str, *, standing_id: str, start_version: str, cause: str) -> JobRow:
    """A run as a job that is queued."""
    return JobRow(
        job_id=job_id,
        settings=settings,
        state="queued",
        standing_id=standing_id,
        start_version=start_version,
        cause=cause,
        **NEW_JOB,
    )
