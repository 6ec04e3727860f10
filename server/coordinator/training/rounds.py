"""One job from its start to its last round, over whoever is connected. What was committed is never done again.

Source: Yu, Muñoz and Jannesari 2023, "Federated Foundation Models", Algorithm 2, lines 3 to 16.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from frag.errors import UpdateError
from frag.quantization import decode, encode
from frag.sampling import sample_nodes
from frag.updates import Update, Weights
from prompt_tuning.job import JobSettings
from prompt_tuning.rounds import Round, mean_metrics
from prompt_tuning.strategies import ServerState
from server.coordinator.blobs import Blobs
from server.coordinator.links import NodeFailedError, Registry, WebSocketLink
from server.coordinator.training.exchange import Exchange
from server.coordinator.training.records import RoundRecord, TrainingRecords
from server.wire.messages import Progress, Train, Trained

_log = structlog.get_logger()
_POLL_S = 0.2
_HEADER_BYTES = 1 << 16
_KEPT_ROUNDS = 3

Emit = Callable[[str, Mapping[str, Any]], None]
"""Called with the name of an event and its JSON content."""


@dataclass(slots=True, kw_only=True)
class JobRun:
    """Plays the rounds of one job.

    `run` may be cancelled at any moment and called again by a new process: it goes on after the last committed round,
    with the nodes that the open round had begun with.
    """

    job_id: str
    job: JobSettings
    base_model: str
    registry: Registry
    exchange: Exchange
    records: TrainingRecords
    blobs: Blobs
    emit: Emit
    _bytes: dict[str, tuple[int, int]] = field(default_factory=dict)

    async def run(self) -> tuple[ServerState, dict[str, float]]:
        """The last state, and what the nodes measured of it."""
        committed = await self.records.rounds(self.job_id)
        content = await asyncio.to_thread(self.blobs.get, committed[-1].state_sha256)
        state = ServerState.from_bytes(content)
        while state.round_num < self.job.rounds.number:
            state = await self._play(state)
        return state, await self._evaluate(state)

    async def _play(self, state: ServerState) -> ServerState:
        """One round, repeated until enough updates came; durable when it returns."""
        while True:
            nodes = await self._roster(state.round_num)
            started = time.monotonic()
            self.emit("round_started", {"round": state.round_num, "nodes": nodes})
            current = Round(self.job, state)
            hashes = await self._gather(current, state, nodes)
            try:
                result = await asyncio.to_thread(current.finish)
            except UpdateError as error:
                self.emit("round_repeated", {"round": state.round_num, "reason": error.what})
                await asyncio.sleep(_POLL_S)
                continue
            record = RoundRecord(
                round_num=result.state.round_num,
                state_sha256=await asyncio.to_thread(self.blobs.put, result.state.to_bytes()),
                contributors={node: hashes[node] for node in result.contributors},
                remarks=result.remarks,
                metrics=result.metrics,
                bytes_out=sum(out for out, _ in self._bytes.values()),
                bytes_in=sum(brought for _, brought in self._bytes.values()),
                seconds=round(time.monotonic() - started, 3),
            )
            await self.records.commit_round(self.job_id, record)
            await self._sweep()
            self.emit("round_done", record.view())
            return result.state

    async def _roster(self, round_num: int) -> list[str]:
        """Who takes part. An interrupted round waits for those that it had begun with."""
        wanted = await self.records.roster(self.job_id, round_num)
        until = time.monotonic() + self.job.rounds.rejoin_s
        while wanted and time.monotonic() < until:
            if set(wanted) <= self.registry.trainers(self.job.dataset).keys():
                return wanted
            await asyncio.sleep(_POLL_S)
        available = await self._available()
        nodes = sample_nodes(list(available), self.job.rounds.nodes_per_round, seed=self.job.seed, round_num=round_num)
        await self.records.set_roster(self.job_id, round_num, nodes)
        return nodes

    async def _available(self) -> list[str]:
        """Nodes with the data set, as soon as there are enough of them."""
        told = False
        while True:
            available = list(self.registry.trainers(self.job.dataset))
            if len(available) >= self.job.rounds.min_replies:
                return available
            if not told:
                self.emit("waiting", {"connected": len(available), "needed": self.job.rounds.min_replies})
                told = True
            await asyncio.sleep(_POLL_S)

    async def _gather(self, current: Round, state: ServerState, nodes: list[str]) -> dict[str, str]:
        """Asks all nodes at once; counts updates as they come, until the deadline. Returns hashes of the updates."""
        content = await asyncio.to_thread(encode, state.weights)
        hashes: dict[str, str] = {}
        self._bytes = {}
        tasks = {asyncio.create_task(self._ask(node, state, content, train=True)): node for node in nodes}
        waiting = set(tasks)
        until = time.monotonic() + self.job.rounds.deadline_s
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
                        self._leave_out(node, state.round_num, error.what)
            for task in waiting:
                self._leave_out(tasks[task], state.round_num, "deadline_exceeded")
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        return hashes

    def _count(self, current: Round, node: str, state: ServerState, trained: Trained, brought: bytes) -> None:
        delta = decode(brought, state.weights, self.job.update.encoding)
        update = Update(
            node_id=node,
            round_num=state.round_num,
            delta=delta,
            num_examples=trained.num_examples,
            metrics=trained.metrics,
        )
        if not current.offer(update):
            raise UpdateError("The update was refused; see the round's remarks.")

    def _leave_out(self, node: str, round_num: int, reason: str) -> None:
        _log.warning("node_left_out", job=self.job_id, round=round_num, node=node, reason=reason)
        self.emit("node_left_out", {"round": round_num, "node": node, "reason": reason})

    async def _ask(self, node: str, state: ServerState, content: bytes, *, train: bool) -> tuple[Trained, bytes]:
        """One node's part of a round. Raises NodeFailedError."""
        link = self.registry.link(node)
        if not isinstance(link, WebSocketLink):
            raise NodeFailedError("not_connected")
        ticket = self.exchange.issue(content, _max_update_bytes(state.weights) if train else 0)
        every = self.job.evaluation.every
        try:
            trained = await link.train(
                lambda request_id: Train(
                    request_id=request_id,
                    job_id=self.job_id,
                    round_num=state.round_num,
                    job=self.job.model_dump_json(),
                    base_model=self.base_model,
                    weights_sha256=hashlib.sha256(content).hexdigest(),
                    ticket=ticket.code,
                    evaluate=not train or (every > 0 and state.round_num % every == 0),
                    train=train,
                ),
                lambda progress: self._show(node, state.round_num, progress),
            )
        finally:
            self.exchange.withdraw(ticket)
            self._bytes[node] = (ticket.bytes_out, len(ticket.brought or b""))
        if train and ticket.brought is None:
            raise NodeFailedError("no_update")
        return trained, ticket.brought or b""

    def _show(self, node: str, round_num: int, progress: Progress) -> None:
        self.emit(
            "progress",
            {
                "round": round_num,
                "node": node,
                "step": progress.step,
                "num_steps": progress.num_steps,
                "loss": round(progress.loss, 4),
            },
        )

    async def _evaluate(self, state: ServerState) -> dict[str, float]:
        """What the nodes measure of the final weights; a node that does not answer is left out."""
        if not self.job.evaluation.every:
            return {}
        content = await asyncio.to_thread(encode, state.weights)
        nodes = sorted(self.registry.trainers(self.job.dataset))
        tasks = [asyncio.create_task(self._ask(node, state, content, train=False)) for node in nodes]
        if not tasks:
            return {}
        done, late = await asyncio.wait(tasks, timeout=self.job.rounds.deadline_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return mean_metrics(task.result()[0].metrics for task in tasks if task in done and not task.exception())

    async def _sweep(self) -> None:
        """Keeps the last few states; the record of an older round stays, its weights go."""
        old = (await self.records.rounds(self.job_id))[:-_KEPT_ROUNDS]
        for record in old:
            await asyncio.to_thread(self.blobs.drop, record.state_sha256)


def _max_update_bytes(weights: Weights) -> int:
    return sum(value.nbytes for value in weights.values()) * 21 // 20 + _HEADER_BYTES
