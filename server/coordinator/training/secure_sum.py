"""The secure sum of one round: what a staged sum is about here, and how its stages travel."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from frag.secagg import Parameters
from frag.secagg.ring import RingArray
from prompt_tuning.secure_mean import SecureSettings
from prompt_tuning.strategies import ServerState
from server.coordinator.staged_sum import StagedSum
from server.coordinator.training.participants import Participants
from server.node.training.summing import SumStart
from server.wire.messages import SumStageName


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
    _staged: StagedSum | None = None

    @property
    def vectors_left(self) -> bool:
        """Whether a masked vector may have left a node: then this round is not summed again."""
        return self._staged is not None and self._staged.vectors_left

    async def total(self) -> tuple[RingArray, list[str]]:
        """The sum and whose updates are in it.

        Raises:
            SecureSumError: Too few nodes stayed until the end.
        """
        digest = await asyncio.to_thread(lambda: hashlib.sha256(self.content).hexdigest())
        length = sum(value.size for value in self.state.weights.values()) + 1
        session = f"{self.participants.job_id}/{self.state.round_num}/{digest}"

        async def ask(node: str, stage: SumStageName, content: bytes) -> bytes:
            max_bytes = 4 * length if stage == "masked" else 0
            reply, vector = await self.participants.sum_stage(node, self.state, digest, stage, content, max_bytes)
            return vector if stage == "masked" else reply

        self._staged = StagedSum(
            identities=self.identities,
            parameters=Parameters(session=session, num_nodes=len(self.identities), length=length),
            start=msgspec.msgpack.encode(SumStart(peers=dict(self.identities))),
            ask=ask,
            deadline_s=lambda _stage: self.settings.stage_deadline_s,
            leave_out=lambda node, reason: self.participants.leave_out(node, self.state.round_num, reason),
        )
        return await self._staged.total()
