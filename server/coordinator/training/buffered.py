"""An asynchronous job: no node waits for another, and no round has a roster.

Source: Nguyen et al. 2022, "Federated Learning with Buffered Asynchronous Aggregation", Algorithm 1.
"""

import asyncio
import hashlib
import time
from dataclasses import dataclass, field

from frag.errors import UpdateError
from frag.quantization import decode, encode
from frag.sampling import sample_nodes
from frag.updates import Update
from prompt_tuning.buffered_rounds import BufferedRounds
from prompt_tuning.rounds import RoundResult
from prompt_tuning.strategies import ServerState
from server.coordinator.links import NodeFailedError
from server.coordinator.training.commits import Commits
from server.coordinator.training.participants import Participants
from server.wire.messages import Trained

_POLL_S = 0.5
_REST_S = 2.0
"""A node that failed is left alone for so long, so that one that refuses does not spin."""
_MAX_FAILURES = 2
"""Failures on the same weights after which a round no longer counts on a node."""

Reply = tuple[Trained, bytes]


@dataclass(slots=True)
class BufferedRun:
    """Keeps up to `nodes_per_round` nodes at work; a round is committed whenever the buffer is full.

    A restart goes on from the last committed round; what was in the buffer is trained again.
    """

    participants: Participants
    commits: Commits
    _at_work: dict[asyncio.Task[Reply], tuple[str, ServerState]] = field(default_factory=dict)
    _resting: dict[str, float] = field(default_factory=dict)
    _failures: dict[str, int] = field(default_factory=dict)
    _hashes: dict[str, str] = field(default_factory=dict)

    async def run(self) -> ServerState:
        """The last state."""
        job = self.participants.job
        rounds = BufferedRounds(job, await self.commits.last())
        await self.participants.available()
        started_s = time.monotonic()
        try:
            while rounds.state.round_num < job.rounds.number:
                result = await self._next(rounds)
                if result is not None:
                    await self.commits.add(result, self._hashes, self.participants, started_s)
                    self._hashes, self._failures, started_s = {}, {}, time.monotonic()
        finally:
            for task in self._at_work:
                task.cancel()
            await asyncio.gather(*self._at_work, return_exceptions=True)
        return rounds.state

    async def _next(self, rounds: BufferedRounds) -> RoundResult | None:
        """Puts idle nodes to work and takes in what has come; a result when that ended a round."""
        await self._employ(rounds)
        if not self._at_work:
            if not self._resting and rounds.num_buffered >= self.participants.job.rounds.min_replies:
                return await asyncio.to_thread(rounds.close)
            if not self._resting:
                self._failures = {}  # too few to close the round: everybody is asked again
            await asyncio.sleep(_POLL_S)
            return None
        done, _ = await asyncio.wait(self._at_work, timeout=_POLL_S, return_when=asyncio.FIRST_COMPLETED)
        for task in sorted(done, key=lambda task: self._at_work[task][0]):
            # those of `done` that are behind a full buffer stay at work, and are taken in the next time
            result = await self._take(rounds, task)
            if result is not None:
                return result
        return None

    async def _employ(self, rounds: BufferedRounds) -> None:
        job, now = self.participants.job, time.monotonic()
        self._resting = {node: until for node, until in self._resting.items() if until > now}
        busy = {node for node, _ in self._at_work.values()}
        idle = [
            node
            for node in self.participants.connected()
            if node not in busy and self._is_willing(node) and rounds.may_train(node)
        ]
        room = job.rounds.nodes_per_round - len(busy) if job.rounds.nodes_per_round else len(idle)
        if not idle or room < 1:
            return
        content = await asyncio.to_thread(encode, rounds.state.weights, job.update.broadcast)
        for node in sample_nodes(idle, room, seed=job.seed, round_num=rounds.state.round_num):
            self._at_work[asyncio.create_task(self._ask(node, rounds.state, content))] = (node, rounds.state)

    def _is_willing(self, node: str) -> bool:
        return node not in self._resting and self._failures.get(node, 0) < _MAX_FAILURES

    async def _ask(self, node: str, state: ServerState, content: bytes) -> Reply:
        try:
            async with asyncio.timeout(self.participants.job.rounds.deadline_s):
                return await self.participants.ask(node, state, content, train=True)
        except TimeoutError as error:
            raise NodeFailedError("deadline_exceeded") from error

    async def _take(self, rounds: BufferedRounds, task: asyncio.Task[Reply]) -> RoundResult | None:
        node, base = self._at_work.pop(task)
        try:
            trained, brought = task.result()
            update = Update(
                node_id=node,
                round_num=base.round_num,
                delta=await asyncio.to_thread(decode, brought, base.weights, self.participants.job.update.encoding),
                num_examples=trained.num_examples,
                metrics=trained.metrics,
            )
            result = await asyncio.to_thread(rounds.offer, update, base.round_num)
        except (NodeFailedError, UpdateError) as error:
            self._failures[node] = self._failures.get(node, 0) + 1
            if self._is_willing(node):
                self._resting[node] = time.monotonic() + _REST_S
            self.participants.leave_out(node, base.round_num, error.what)
            return None
        self._hashes[node] = hashlib.sha256(brought).hexdigest()
        return result
