"""Mode `consensus`: what enough operators say, and only that, goes to the asker."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from frag.answers.consensus import Agreement, agree
from frag.errors import BadRequestError
from frag.protocols import Embedder
from frag.types import NodeAnswer
from server.coordinator.embedding import LazyEmbedder, cosines

Operators = Callable[[], Awaitable[Mapping[str, str]]]
"""Who runs each enrolled node."""


@dataclass(frozen=True, slots=True)
class Consenting:
    """Needs an embedder, to see that two statements mean the same."""

    embedder: LazyEmbedder
    operators: Operators

    async def check(self, asked: Sequence[str], min_support: int) -> None:
        """Before anybody is asked.

        Raises:
            BadRequestError: More supporters are wanted than operators are asked, or there is no embedder.
        """
        known = await self.operators()
        num_operators = len({known.get(node_id, node_id) for node_id in asked})
        if min_support > num_operators:
            raise BadRequestError(
                f"min_support is {min_support}, and the nodes that can be asked are run by {num_operators}.",
                "Lower min_support, or ask more nodes.",
            )
        await self._embedder()

    async def merge(self, answers: Sequence[NodeAnswer], min_support: int) -> Agreement:
        """What came out, perhaps nothing."""
        similarity = partial(cosines, await self._embedder())
        return await asyncio.to_thread(agree, answers, await self.operators(), min_support, similarity)

    async def _embedder(self) -> Embedder:
        return await self.embedder.loaded("Consensus", "ask in mode scrub")


def note_of(agreement: Agreement, min_support: int) -> str:
    """What the asker should know of what came out."""
    return (
        f"{agreement.num_released} statements came out of {agreement.num_statements}; each has at least {min_support} "
        f"operators behind it, and if m of these are dishonest, {min_support} − m honest ones."
    )
