"""The coordinator's part in the secure sum of one round: passes stages to the nodes, each with a deadline."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from frag.errors import SecureSumError
from frag.secagg import Aggregator, Parameters
from frag.secagg.messages import Confirmation, Keys, Masked, Shares, Unmasking
from frag.secagg.ring import RingArray
from prompt_tuning.secure_mean import SecureSettings
from prompt_tuning.strategies import ServerState
from server.coordinator.links import NodeFailedError
from server.coordinator.training.participants import Participants
from server.node.training.summing import SumStart
from server.wire.messages import SumStageName

_M = TypeVar("_M", bound=msgspec.Struct)


@dataclass(slots=True, kw_only=True)
class SecureSum:
    """One sum over the nodes that have trained. Whoever fails a stage has dropped out.

    Args:
        participants: The job's nodes.
        settings: Of the job.
        state: The weights that updates are of.
        content: The same, encoded as the nodes got it.
        identities: Raw public identities of the nodes.
    """

    participants: Participants
    settings: SecureSettings
    state: ServerState
    content: bytes
    identities: Mapping[str, bytes]
    vectors_left: bool = False
    """Whether a masked vector may have left a node: then this round is not summed again."""
    _digest: str = ""
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def total(self) -> tuple[RingArray, list[str]]:
        """The sum and whose updates are in it.

        Raises:
            SecureSumError: Too few nodes stayed until the end.
        """
        self._digest = await asyncio.to_thread(lambda: hashlib.sha256(self.content).hexdigest())
        length = sum(value.size for value in self.state.weights.values()) + 1
        session = f"{self.participants.job_id}/{self.state.round_num}/{self._digest}"
        parameters = Parameters(session=session, num_nodes=len(self.identities), length=length)
        aggregator = Aggregator(self.identities, parameters)
        start = msgspec.msgpack.encode(SumStart(peers=dict(self.identities)))
        nodes = await self._stage("keys", list(self.identities), lambda _node: start, Keys, aggregator.add_keys)
        roster = msgspec.msgpack.encode(aggregator.roster())
        nodes = await self._stage("shares", nodes, lambda _node: roster, Shares, aggregator.add_shares)
        nodes = await self._masked(nodes, aggregator, 4 * length)
        survivors = msgspec.msgpack.encode(aggregator.survivors())
        nodes = await self._stage("confirm", nodes, lambda _node: survivors, Confirmation, aggregator.add_confirmation)
        confirmed = msgspec.msgpack.encode(aggregator.confirmations())
        await self._stage("unmask", nodes, lambda _node: confirmed, Unmasking, aggregator.add_unmasking)
        total = await asyncio.to_thread(aggregator.total)
        return total, list(aggregator.survivors().masked)

    async def _stage(
        self,
        stage: SumStageName,
        nodes: Sequence[str],
        content: Callable[[str], bytes],
        kind: type[_M],
        take: Callable[[_M], None],
    ) -> list[str]:
        """Who has passed a stage whose reply is a message."""

        async def play(node: str) -> None:
            reply, _ = await self._ask(node, stage, content(node))
            message = _own(node, msgspec.msgpack.decode(reply, type=kind))
            async with self._turn:
                await asyncio.to_thread(take, message)

        return await self._passed(stage, nodes, play)

    async def _masked(self, nodes: Sequence[str], aggregator: Aggregator, num_bytes: int) -> list[str]:
        async def play(node: str) -> None:
            inbox = msgspec.msgpack.encode(aggregator.inbox(node))
            _, vector = await self._ask(node, "masked", inbox, num_bytes)
            async with self._turn:
                await asyncio.to_thread(aggregator.add_masked, Masked(name=node, vector=vector))

        self.vectors_left = True
        return await self._passed("masked", nodes, play)

    async def _ask(self, node: str, stage: SumStageName, content: bytes, max_bytes: int = 0) -> tuple[bytes, bytes]:
        return await self.participants.sum_stage(node, self.state, self._digest, stage, content, max_bytes)

    async def _passed(self, stage: str, nodes: Sequence[str], play: Callable[[str], Awaitable[None]]) -> list[str]:
        """Plays a stage with all at once, up to its deadline; the others are left out with the reason."""
        outcomes = await asyncio.gather(*(self._one(node, play) for node in nodes))
        passed = []
        for node, reason in zip(nodes, outcomes, strict=True):
            if reason:
                self.participants.leave_out(node, self.state.round_num, f"{stage}: {reason}")
            else:
                passed.append(node)
        return passed

    async def _one(self, node: str, play: Callable[[str], Awaitable[None]]) -> str:
        try:
            async with asyncio.timeout(self.settings.stage_deadline_s):
                await play(node)
        except (NodeFailedError, SecureSumError) as error:
            return error.what
        except msgspec.DecodeError:
            return "bad_reply"
        except TimeoutError:
            return "deadline_exceeded"
        return ""


def _own(node: str, message: _M) -> _M:
    """A message in another node's name is not taken."""
    if getattr(message, "name", None) != node:
        raise SecureSumError(f"{node} spoke in another name.")
    return message
