"""Chooses among written prompts by federated validation: every node measures each candidate on its held-out share."""

import asyncio
import time
from dataclasses import dataclass, replace

from prompt_tuning.rounds import RoundResult
from prompt_tuning.strategies import ServerState
from server.coordinator.training.commits import Commits
from server.coordinator.training.participants import Participants
from server.coordinator.training.records import RoundRecord

_POLL_S = 1.0
_MEASURE = "held_out_f1"


@dataclass(frozen=True, slots=True)
class TemplateRun:
    """One round a candidate; a restart goes on with the first that was not measured."""

    participants: Participants
    commits: Commits

    async def run(self) -> ServerState:
        """The state after the last candidate; it has no weights."""
        state = await self.commits.last()
        while state.round_num < self.participants.job.num_rounds:
            started_s = time.monotonic()
            nodes = await self.participants.available()
            metrics = await self._measured(state.round_num, state)
            if _MEASURE not in metrics:
                self.participants.emit("round_repeated", {"round": state.round_num, "reason": "nobody measured it"})
                await asyncio.sleep(_POLL_S)
                continue
            state = replace(state, round_num=state.round_num + 1)
            result = RoundResult(state=state, contributors=tuple(sorted(nodes)), remarks={}, metrics=metrics)
            await self.commits.add(result, dict.fromkeys(nodes, ""), self.participants, started_s)
        return state

    async def _measured(self, number: int, state: ServerState) -> dict[str, float]:
        # nodes keep what they have joined by job, so each candidate is a job of its own to them
        job = self.participants.job.with_candidate(number)
        alone = replace(self.participants, job_id=f"{self.participants.job_id}-{number}", job=job)
        return await alone.evaluate(state)


def best_of(rounds: list[RoundRecord]) -> int:
    """The candidate with the highest mean F1 over nodes; of equals the first."""
    scores = [record.metrics[_MEASURE] for record in rounds if record.round_num]
    return scores.index(max(scores))
