"""One job from its start to its last round, over whoever is connected.

Source: Yu, Muñoz and Jannesari 2023, "Federated Foundation Models", Algorithm 2, lines 3 to 16.
"""

import asyncio
import hashlib
import itertools
import time
from dataclasses import dataclass, replace

from frag.errors import UpdateError
from frag.quantization import decode, encode
from frag.updates import Update
from prompt_tuning.rounds import Round, RoundResult, choose_nodes
from prompt_tuning.spending import rounds_allowed
from prompt_tuning.strategies import ServerState
from server.coordinator.links import NodeFailedError
from server.coordinator.training.commits import Commits
from server.coordinator.training.participants import Participants
from server.coordinator.training.public_phase import PublicPhase
from server.wire.messages import Trained

_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class SynchronousRun:
    """Plays the rounds of one job: each waits for its roster, up to the deadline.

    `run` may be cancelled at any moment and called again by a new process: it goes on after the last committed round,
    with the nodes that the open round had begun with.
    """

    participants: Participants
    commits: Commits
    public: PublicPhase | None = None

    async def run(self) -> ServerState:
        """The last state.

        Raises:
            LedgerError: The job's privacy budget allows no round.
        """
        job = self.participants.job
        state = await self.commits.last()
        allowed = await asyncio.to_thread(rounds_allowed, job)
        try:
            while state.round_num < allowed:
                state = await self._play(state)
            if allowed < job.rounds.number:
                self.participants.emit("halted", {"round": allowed, "reason": "the next round is over the budget"})
        finally:
            if self.public is not None:
                await self.public.close()
        return state

    async def _play(self, state: ServerState) -> ServerState:
        """One round, repeated when too few updates came; durable when it returns.

        Raises:
            UpdateError: Too few came each time, though enough nodes were connected.
        """
        seen: dict[str, float] = {}
        if self.public is not None:
            passes = await self.public.optimise(state)
            state, seen = passes.state, passes.metrics()
        for attempt in itertools.count(1):
            nodes = await self._roster(state.round_num)
            started_s = time.monotonic()
            self.participants.emit("round_started", {"round": state.round_num, "nodes": nodes})
            try:
                result, hashes = await self._round(state, nodes)
            except UpdateError as error:
                if attempt >= self.participants.job.rounds.attempts:
                    reasons = sorted(self.participants.take_reasons().items())
                    told = "; ".join(f"{node}: {reason}" for node, reason in reasons)
                    raise UpdateError(f"{error.what} {told}".strip()) from error
                self.participants.emit("round_repeated", {"round": state.round_num, "reason": error.what})
                await asyncio.sleep(_POLL_S)
                continue
            result = replace(result, metrics={**result.metrics, **seen})
            await self.commits.add(result, hashes, self.participants, started_s)
            return result.state
        raise AssertionError("unreachable")

    async def _round(self, state: ServerState, nodes: list[str]) -> tuple[RoundResult, dict[str, str]]:
        """What a round ends in, and the hashes of its updates. Raises UpdateError when it must be repeated."""
        current = Round(self.participants.job, state)
        hashes = await self._gather(current, state, nodes)
        return await asyncio.to_thread(current.finish), hashes

    async def _roster(self, round_num: int) -> list[str]:
        """Who takes part. An interrupted round waits for those that it had begun with."""
        job, job_id, records = self.participants.job, self.participants.job_id, self.commits.records
        noted = await records.roster(job_id, round_num)
        wanted = noted or []
        until = time.monotonic() + job.rounds.rejoin_s
        while wanted and time.monotonic() < until:
            if set(wanted) <= set(self.participants.connected()):
                return wanted
            await asyncio.sleep(_POLL_S)
        if noted is not None and job.privacy.mode == "client":
            return noted  # drawn once: a sample that is drawn until all of it replies is no random one
        available = await self.participants.available()
        nodes = choose_nodes(job, available, round_num)
        await records.set_roster(job_id, round_num, nodes)
        return nodes

    async def _gather(self, current: Round, state: ServerState, nodes: list[str]) -> dict[str, str]:
        """Asks all nodes at once; counts updates as they come, until the deadline. Returns hashes of the updates."""
        content = await asyncio.to_thread(encode, state.weights, self.participants.job.update.broadcast)
        hashes: dict[str, str] = {}
        self.participants.take_bytes()
        tasks = {asyncio.create_task(self.participants.ask(node, state, content, train=True)): node for node in nodes}
        waiting = set(tasks)
        until = time.monotonic() + self.participants.job.rounds.deadline_s
        try:
            while waiting and (left_s := until - time.monotonic()) > 0:
                done, waiting = await asyncio.wait(waiting, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    node = tasks[task]
                    try:
                        trained, brought = task.result()
                        await asyncio.to_thread(self._count, current, node, state, trained, brought)
                        hashes[node] = hashlib.sha256(brought).hexdigest()
                    except (NodeFailedError, UpdateError) as error:
                        self.participants.leave_out(node, state.round_num, error.what)
            for task in waiting:
                self.participants.leave_out(tasks[task], state.round_num, "deadline_exceeded")
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        return hashes

    def _count(self, current: Round, node: str, state: ServerState, trained: Trained, brought: bytes) -> None:
        update = Update(
            node_id=node,
            round_num=state.round_num,
            delta=decode(brought, state.weights, self.participants.job.update.encoding),
            num_examples=trained.num_examples,
            metrics=trained.metrics,
        )
        if not current.offer(update):
            raise UpdateError("The update was refused; see the round's remarks.")
