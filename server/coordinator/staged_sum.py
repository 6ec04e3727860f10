"""The coordinator's part in a secure sum, whatever is summed: passes stages to the nodes, each with a deadline."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from frag.errors import SecureSumError
from frag.secagg import Aggregator, Parameters
from frag.secagg.messages import Confirmation, Keys, Masked, Shares, Unmasking
from frag.secagg.ring import RingArray
from server.coordinator.links import NodeFailedError
from server.wire.messages import SumStageName

_M = TypeVar("_M", bound=msgspec.Struct)
Ask = Callable[[str, SumStageName, bytes], Awaitable[bytes]]
"""(node, stage, content) to what the node says; to the vector itself in the stage `masked`."""


@dataclass(slots=True, kw_only=True)
class StagedSum:
    """One sum. Whoever fails a stage has dropped out.

    Args:
        identities: Raw public identities of the nodes that are asked.
        parameters: Of the sum.
        start: What the first stage says to every node.
        ask: Brings a stage to a node. Raises NodeFailedError.
        deadline_s: Of a stage.
        leave_out: Called with (node, reason) for each that drops out.
    """

    identities: Mapping[str, bytes]
    parameters: Parameters
    start: bytes = field(repr=False)
    ask: Ask
    deadline_s: Callable[[SumStageName], float]
    leave_out: Callable[[str, str], None]
    vectors_left: bool = False
    """Whether a masked vector may have left a node."""
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def total(self) -> tuple[RingArray, list[str]]:
        """The sum and whose vectors are in it.

        Raises:
            SecureSumError: Too few nodes stayed until the end.
        """
        aggregator = Aggregator(self.identities, self.parameters)
        nodes = await self._stage("keys", list(self.identities), lambda _node: self.start, Keys, aggregator.add_keys)
        roster = msgspec.msgpack.encode(aggregator.roster())
        nodes = await self._stage("shares", nodes, lambda _node: roster, Shares, aggregator.add_shares)
        nodes = await self._masked(nodes, aggregator)
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
            reply = await self.ask(node, stage, content(node))
            message = _own(node, msgspec.msgpack.decode(reply, type=kind))
            async with self._turn:
                await asyncio.to_thread(take, message)

        return await self._passed(stage, nodes, play)

    async def _masked(self, nodes: Sequence[str], aggregator: Aggregator) -> list[str]:
        async def play(node: str) -> None:
            inbox = msgspec.msgpack.encode(aggregator.inbox(node))
            vector = await self.ask(node, "masked", inbox)
            async with self._turn:
                await asyncio.to_thread(aggregator.add_masked, Masked(name=node, vector=vector))

        self.vectors_left = True
        return await self._passed("masked", nodes, play)

    async def _passed(
        self, stage: SumStageName, nodes: Sequence[str], play: Callable[[str], Awaitable[None]]
    ) -> list[str]:
        """Plays a stage with all at once, up to its deadline; the others are left out with the reason."""
        deadline_s = self.deadline_s(stage)
        outcomes = await asyncio.gather(*(_one(node, play, deadline_s) for node in nodes))
        passed = []
        for node, reason in zip(nodes, outcomes, strict=True):
            if reason:
                self.leave_out(node, f"{stage}: {reason}")
            else:
                passed.append(node)
        return passed


async def _one(node: str, play: Callable[[str], Awaitable[None]], deadline_s: float) -> str:
    """Why a node failed a stage, or nothing."""
    try:
        async with asyncio.timeout(deadline_s):
            await play(node)
    except (NodeFailedError, SecureSumError) as error:
        return error.what
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "bad_reply"
    except TimeoutError:
        return "deadline_exceeded"
    return ""


def _own(node: str, message: _M) -> _M:
    """A message in another node's name is not taken."""
    if getattr(message, "name", None) != node:
        raise SecureSumError(f"{node} spoke in another name.")
    return message
