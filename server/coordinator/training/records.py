"""What is durable of training: jobs, committed rounds, versions, promotions. Every verb is one transaction."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from frag.errors import NotFoundError
from server.coordinator.database import Database
from server.coordinator.tables import JobRow, PromotionRow, PromptRow, RoundRow
from server.coordinator.training.start import StartInfo

NEW_JOB = dict.fromkeys(("base_model", "layout", "embedder", "error", "roster"), "")
"""What is not known of a job before it has begun."""
_MEASURED = "held_out_"
ENDED = frozenset({"done", "failed", "cancelled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRecord:
    """One committed round. Round 0 is the start: no contributors."""

    round_num: int
    state_sha256: str
    contributors: Mapping[str, str] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    bytes_out: int = 0
    bytes_in: int = 0
    seconds: float = 0.0

    def view(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "round": self.round_num,
            "nodes": sorted(self.contributors),
            "remarks": dict(self.remarks),
            "metrics": dict(self.metrics),
            "bytes_out": self.bytes_out,
            "bytes_in": self.bytes_in,
            "seconds": self.seconds,
        }


def rounds_view(records: Sequence[RoundRecord], final: Mapping[str, float]) -> list[dict[str, Any]]:
    """Rounds as the API shows them, each with what the nodes measured of the weights that it ended in.

    Nodes measure the weights that they are given, so these figures come with the next round, and the last ones with
    the version.
    """
    shown = [record.view() for record in records if record.round_num]
    following = [*(view["metrics"] for view in shown[1:]), final]
    for view, later in zip(shown, following, strict=False):
        own = {name: value for name, value in view["metrics"].items() if not name.startswith(_MEASURED)}
        view["metrics"] = own | {name: value for name, value in later.items() if name.startswith(_MEASURED)}
    return shown


class TrainingRecords:
    """The training tables behind a handful of verbs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_job(self, job_id: str, settings: str) -> None:
        """A new job, queued."""
        async with self._database.transaction("job_added", job_id) as session:
            session.add(JobRow(job_id=job_id, settings=settings, state="queued", **NEW_JOB))

    async def job(self, job_id: str) -> JobRow:
        """Raises NotFoundError."""
        async with self._database.transaction() as session:
            row = await session.get(JobRow, job_id)
        if row is None:
            raise NotFoundError(f"There is no job {job_id!r}.", "`GET /v1/jobs` lists them.")
        return row

    async def jobs(self) -> Sequence[JobRow]:
        """All jobs, oldest first."""
        async with self._database.transaction() as session:
            return (await session.scalars(select(JobRow).order_by(JobRow.created_at, JobRow.job_id))).all()

    async def set_state(self, job_id: str, state: str, error: str = "") -> None:
        """Moves a job to another state; an ended job that is resumed is queued again."""
        async with self._database.transaction(f"job_{state}", job_id) as session:
            row = await session.get_one(JobRow, job_id)
            row.state, row.error = state, error[:300]

    async def begin(self, job_id: str, info: StartInfo, start: RoundRecord) -> None:
        """Commits the start of a job: what it is trained for, and the first weights."""
        async with self._database.transaction() as session:
            row = await session.get_one(JobRow, job_id)
            row.base_model, row.layout, row.embedder = info.base_model, info.layout, info.embedder
            session.add(_round_row(job_id, start))

    async def identities(self, nodes: Sequence[str]) -> dict[str, bytes]:
        """Raw public identities of those nodes that are enrolled and not revoked."""
        found = {node: await self._database.public_key(node) for node in nodes}
        return {node: key for node, key in found.items() if key is not None}

    async def set_roster(self, job_id: str, round_num: int, nodes: Sequence[str]) -> None:
        """Notes who a round begins with, so that it can go on with the same after a crash."""
        async with self._database.transaction() as session:
            row = await session.get_one(JobRow, job_id)
            row.roster = json.dumps({"round": round_num, "nodes": list(nodes)})

    async def roster(self, job_id: str, round_num: int) -> list[str] | None:
        """Who this round began with before; None when it has not begun."""
        noted = json.loads((await self.job(job_id)).roster or "{}")
        return list(noted["nodes"]) if noted.get("round") == round_num else None

    async def commit_round(self, job_id: str, record: RoundRecord) -> None:
        """A round is done: weights, optimiser state, who contributed what, all or nothing."""
        async with self._database.transaction() as session:
            session.add(_round_row(job_id, record))

    async def rounds(self, job_id: str) -> list[RoundRecord]:
        """Committed rounds in order."""
        async with self._database.transaction() as session:
            rows = await session.scalars(select(RoundRow).where(RoundRow.job_id == job_id).order_by(RoundRow.round_num))
            return [_record(row) for row in rows]

    async def add_prompt(self, row: PromptRow) -> None:
        """A new version; one that exists already stays as it is."""
        async with self._database.transaction("prompt_added", row.version) as session:
            if await session.get(PromptRow, row.version) is None:
                session.add(row)

    async def prompt(self, version: str) -> PromptRow:
        """Raises NotFoundError."""
        async with self._database.transaction() as session:
            row = await session.get(PromptRow, version)
        if row is None:
            raise NotFoundError(f"There is no prompt version {version!r}.", "`frag prompts list` shows them.")
        return row

    async def prompts(self) -> Sequence[PromptRow]:
        """All versions, oldest first."""
        async with self._database.transaction() as session:
            return (await session.scalars(select(PromptRow).order_by(PromptRow.created_at, PromptRow.version))).all()

    async def promote(self, version: str) -> None:
        """From now on `version` is live."""
        async with self._database.transaction("prompt_promoted", version or "none") as session:
            session.add(PromotionRow(version=version))

    async def promotions(self) -> list[str]:
        """Versions that went live, oldest first; the last is live."""
        return [row.version for row in await self.promotion_rows()]

    async def promotion_rows(self) -> Sequence[PromotionRow]:
        """The same with their times."""
        async with self._database.transaction() as session:
            return (await session.scalars(select(PromotionRow).order_by(PromotionRow.promotion_id))).all()


def _round_row(job_id: str, record: RoundRecord) -> RoundRow:
    return RoundRow(
        job_id=job_id,
        round_num=record.round_num,
        state_sha256=record.state_sha256,
        contributors=json.dumps(dict(record.contributors)),
        remarks=json.dumps(dict(record.remarks)),
        metrics=json.dumps(dict(record.metrics)),
        bytes_out=record.bytes_out,
        bytes_in=record.bytes_in,
        seconds=record.seconds,
    )


def _record(row: RoundRow) -> RoundRecord:
    return RoundRecord(
        round_num=row.round_num,
        state_sha256=row.state_sha256,
        contributors=json.loads(row.contributors),
        remarks=json.loads(row.remarks),
        metrics=json.loads(row.metrics),
        bytes_out=row.bytes_out,
        bytes_in=row.bytes_in,
        seconds=row.seconds,
    )
