"""What one job says to its nodes: train on these weights, or measure them. Bytes are counted by node."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from frag.quantization import encode
from frag.updates import Weights
from prompt_tuning.job import JobSettings
from prompt_tuning.rounds import mean_metrics
from prompt_tuning.strategies import ServerState
from server.coordinator.links import NodeFailedError, Registry, WebSocketLink
from server.coordinator.training.exchange import Exchange
from server.wire.messages import Progress, SumStage, SumStageName, Train, Trained

_log = structlog.get_logger()
_POLL_S = 0.2
_HEADER_BYTES = 1 << 16

Emit = Callable[[str, Mapping[str, Any]], None]
"""Called with the name of an event and its JSON content."""


@dataclass(slots=True, kw_only=True)
class Participants:
    """The nodes of one job."""

    job_id: str
    job: JobSettings
    base_model: str
    registry: Registry
    exchange: Exchange
    emit: Emit
    _bytes: dict[str, tuple[int, int]] = field(default_factory=dict)
    _reasons: dict[str, str] = field(default_factory=dict)

    def connected(self) -> list[str]:
        """Nodes that hold the job's data set."""
        return list(self.registry.trainers(self.job.dataset))

    async def available(self) -> list[str]:
        """Nodes with the data set, as soon as there are enough of them."""
        told = False
        while True:
            connected = self.connected()
            if len(connected) >= self.job.rounds.min_replies:
                return connected
            if not told:
                self.emit("waiting", {"connected": len(connected), "needed": self.job.rounds.min_replies})
                told = True
            await asyncio.sleep(_POLL_S)

    def take_bytes(self) -> tuple[int, int]:
        """Bytes out to nodes and in from them since the last call, heartbeat and progress apart."""
        taken, self._bytes = self._bytes, {}
        return sum(out for out, _ in taken.values()), sum(brought for _, brought in taken.values())

    def leave_out(self, node: str, round_num: int, reason: str) -> None:
        """Says that a node's update does not count, and why."""
        self._reasons[node] = reason
        _log.warning("node_left_out", job=self.job_id, round=round_num, node=node, reason=reason)
        self.emit("node_left_out", {"round": round_num, "node": node, "reason": reason})

    def take_reasons(self) -> dict[str, str]:
        """Why nodes were left out since the last call, by node."""
        taken, self._reasons = self._reasons, {}
        return taken

    async def ask(self, node: str, state: ServerState, content: bytes, *, train: bool) -> tuple[Trained, bytes]:
        """One node's reply and the update that it brought, empty unless `train`.

        Args:
            node: Its id.
            state: The weights in force.
            content: The same weights, encoded.
            train: Train on them, or only measure them.

        Raises:
            NodeFailedError: It is gone, refused, or brought nothing.
        """
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
            out, brought = self._bytes.get(node, (0, 0))
            self._bytes[node] = (out + ticket.bytes_out, brought + len(ticket.brought or b""))
        if train and ticket.brought is None and self.job.aggregation.mode != "secagg":
            raise NodeFailedError("no_update")
        return trained, ticket.brought or b""

    async def sum_stage(
        self, node: str, state: ServerState, digest: str, stage: SumStageName, content: bytes, max_bytes: int = 0
    ) -> tuple[bytes, bytes]:
        """What a node says to a stage of a secure sum, and the vector that it brought.

        Args:
            node: Its id.
            state: The weights that its update is of.
            digest: SHA-256 of those weights, encoded.
            stage: Of the protocol.
            content: Its message.
            max_bytes: Of the vector that may be brought; 0 for none.

        Raises:
            NodeFailedError: It is gone, or left the protocol.
        """
        link = self.registry.link(node)
        if not isinstance(link, WebSocketLink):
            raise NodeFailedError("not_connected")
        ticket = self.exchange.issue(b"", max_bytes)
        try:
            reply = await link.sum_stage(
                lambda request_id: SumStage(
                    request_id=request_id,
                    job_id=self.job_id,
                    round_num=state.round_num,
                    weights_sha256=digest,
                    stage=stage,
                    content=content,
                    ticket=ticket.code,
                )
            )
        finally:
            self.exchange.withdraw(ticket)
            out, brought = self._bytes.get(node, (0, 0))
            self._bytes[node] = (out + len(content), brought + len(ticket.brought or b""))
        self._bytes[node] = (self._bytes[node][0], self._bytes[node][1] + len(reply))
        return reply, ticket.brought or b""

    def _show(self, node: str, round_num: int, progress: Progress) -> None:
        if self.job.privacy.mode != "none":
            return  # losses are of private examples
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

    async def evaluate(self, state: ServerState) -> dict[str, float]:
        """What the nodes measure of the weights on their held-out shares; a node that does not answer is left out."""
        if not self.job.evaluation.every and self.job.method.kind != "template":
            return {}
        return mean_metrics((await self.replies(state)).values())

    async def replies(self, state: ServerState) -> dict[str, Mapping[str, float]]:
        """The same by node."""
        content = await asyncio.to_thread(encode, state.weights, self.job.update.broadcast)
        nodes = sorted(self.connected())
        tasks = {node: asyncio.create_task(self.ask(node, state, content, train=False)) for node in nodes}
        if not tasks:
            return {}
        done, late = await asyncio.wait(tasks.values(), timeout=self.job.rounds.deadline_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        found = {node: task for node, task in tasks.items() if task in done and not task.exception()}
        return {node: task.result()[0].metrics for node, task in found.items()}


def _max_update_bytes(weights: Weights) -> int:
    return sum(value.nbytes for value in weights.values()) * 21 // 20 + _HEADER_BYTES
