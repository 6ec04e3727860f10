"""Rounds whose updates nobody sees: nodes train and keep them, and only their sum is opened."""

import asyncio
from dataclasses import replace

from frag.errors import SecureSumError, UpdateError
from frag.quantization import encode
from frag.secagg.parameters import MIN_NODES
from frag.secagg.ring import RingArray
from prompt_tuning.rounds import RoundResult
from prompt_tuning.secure_mean import SecureSettings, decode_sum
from prompt_tuning.strategies import ServerState, make_strategy
from server.coordinator.links import NodeFailedError
from server.coordinator.training.rounds import SynchronousRun
from server.coordinator.training.secure_sum import SecureSum


class SecureRun(SynchronousRun):
    """A round that fails before any masked vector has left a node is repeated. Later, it is lost: nodes send a round's
    vector once, so the weights stay as they are and the next round begins."""

    async def _round(self, state: ServerState, nodes: list[str]) -> tuple[RoundResult, dict[str, str]]:
        settings = self.participants.job.aggregation
        if not isinstance(settings, SecureSettings):
            raise TypeError(f"{settings.mode} is no secure mode")
        content = await asyncio.to_thread(encode, state.weights, self.participants.job.update.broadcast)
        self.participants.take_bytes()
        trained = await self._train(state, content, nodes)
        identities = await self.commits.records.identities(trained)
        needed = max(MIN_NODES, self.participants.job.rounds.min_replies)
        if len(identities) < needed:
            raise UpdateError(f"{len(identities)} nodes have trained, {needed} needed.")
        secure = SecureSum(
            participants=self.participants, settings=settings, state=state, content=content, identities=identities
        )
        try:
            total, names = await secure.total()
        except SecureSumError as error:
            if not secure.vectors_left:
                raise UpdateError(error.what) from error
            self.participants.emit("round_lost", {"round": state.round_num, "reason": error.what})
            lost = replace(state, round_num=state.round_num + 1)
            return RoundResult(state=lost, contributors=(), remarks={"sum": error.what}), {}
        return await asyncio.to_thread(self._applied, state, settings, total, names, len(identities)), dict.fromkeys(
            names, ""
        )

    async def _train(self, state: ServerState, content: bytes, nodes: list[str]) -> list[str]:
        """Who has an update of this round, up to the deadline."""

        async def ask(node: str) -> str:
            try:
                async with asyncio.timeout(self.participants.job.rounds.deadline_s):
                    await self.participants.ask(node, state, content, train=True)
            except TimeoutError:
                return "deadline_exceeded"
            except NodeFailedError as error:
                return error.what
            return ""

        outcomes = await asyncio.gather(*(ask(node) for node in nodes))
        for node, reason in zip(nodes, outcomes, strict=True):
            if reason:
                self.participants.leave_out(node, state.round_num, reason)
        return [node for node, reason in zip(nodes, outcomes, strict=True) if not reason]

    def _applied(
        self, state: ServerState, settings: SecureSettings, total: RingArray, names: list[str], num_nodes: int
    ) -> RoundResult:
        mean = decode_sum(total, state.weights, settings, num_nodes)
        after = make_strategy(self.participants.job.strategy).apply(state, mean)
        return RoundResult(state=after, contributors=tuple(sorted(names)), remarks={})
