"""The committed states of one job. What was committed is never done again."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from prompt_tuning.rounds import RoundResult
from prompt_tuning.strategies import ServerState
from server.coordinator.blobs import Blobs
from server.coordinator.training.participants import Participants
from server.coordinator.training.records import RoundRecord, TrainingRecords

_KEPT_ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Commits:
    """Records and weights of the rounds of `job_id`."""

    job_id: str
    records: TrainingRecords
    blobs: Blobs
    keeps_start: bool = False
    """Whether the first weights are compared with the last ones at the end."""

    async def first(self) -> ServerState:
        """The state that the job began with, where it is kept."""
        committed = await self.records.rounds(self.job_id)
        return ServerState.from_bytes(await asyncio.to_thread(self.blobs.get, committed[0].state_sha256))

    async def last(self) -> ServerState:
        """The state that the last committed round ended in."""
        committed = await self.records.rounds(self.job_id)
        return ServerState.from_bytes(await asyncio.to_thread(self.blobs.get, committed[-1].state_sha256))

    async def add(
        self, result: RoundResult, hashes: Mapping[str, str], participants: Participants, started_s: float
    ) -> None:
        """Durable when it returns; the event follows.

        Args:
            result: What the round ended in.
            hashes: SHA-256 of every update that came, by node.
            participants: Tell what travelled, and emit the event.
            started_s: When the round began, on the monotonic clock.
        """
        bytes_out, bytes_in = participants.take_bytes()
        record = RoundRecord(
            round_num=result.state.round_num,
            state_sha256=await asyncio.to_thread(self.blobs.put, result.state.to_bytes()),
            contributors={node: hashes[node] for node in result.contributors},
            remarks={**participants.take_reasons(), **result.remarks},
            metrics=result.metrics,
            bytes_out=bytes_out,
            bytes_in=bytes_in,
            seconds=round(time.monotonic() - started_s, 3),
        )
        await self.records.commit_round(self.job_id, record)
        await self._sweep()
        participants.emit("round_done", record.view())

    async def _sweep(self) -> None:
        """Keeps the last few states; the record of an older round stays, its weights go."""
        old = (await self.records.rounds(self.job_id))[:-_KEPT_ROUNDS]
        for record in old[1:] if self.keeps_start else old:
            await asyncio.to_thread(self.blobs.drop, record.state_sha256)
