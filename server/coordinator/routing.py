"""`route = "top:m"`: only the nodes that are most likely to hold an answer get the question."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from frag.protocols import Embedder, FloatArray
from frag.routing import ANCHOR_TEXTS, ANCHORS_ID, Chooser, affinities, topic_shares
from server.coordinator.embedding import LazyEmbedder
from server.coordinator.links import NodeLink


@dataclass(frozen=True, slots=True)
class _Compass:
    embedder: Embedder
    anchors: FloatArray


class Router:
    """Chooses nodes by their profiles and past answers. The embedder is loaded at the first routed question."""

    def __init__(self, embedder: LazyEmbedder, chooser: Chooser | None = None) -> None:
        self._embedder = embedder
        self._chooser = chooser or Chooser()
        self._compass: _Compass | None = None
        self._lock = asyncio.Lock()

    async def choose(self, question: str, links: Sequence[NodeLink], number: int) -> list[NodeLink]:
        """At most `number` of `links`, in their order.

        Raises:
            BadRequestError: The coordinator has no embedder to place the question with.
        """
        if number >= len(links):
            return list(links)
        compass = await self._load()
        vector = (await asyncio.to_thread(compass.embedder.embed, [question]))[0]
        shares = topic_shares({link.node_id: counts_of(link, compass.embedder.fingerprint) for link in links})
        chosen = set(self._chooser.choose(affinities(vector, compass.anchors), shares, number))
        return [link for link in links if link.node_id in chosen]

    def learn(self, asked: Iterable[str], helped: Iterable[str]) -> None:
        """Notes who was asked, and whose released answer the merged one rests on."""
        self._chooser.learn(asked, helped)

    def weight(self, node_id: str) -> float:
        """What past answers say of a node; 1 before any."""
        return self._chooser.weight(node_id)

    async def _load(self) -> _Compass:
        embedder = await self._embedder.loaded("Routing", "ask with route `all`")
        async with self._lock:
            if self._compass is None:
                self._compass = _Compass(embedder, await asyncio.to_thread(embedder.embed, ANCHOR_TEXTS))
            return self._compass


def counts_of(link: NodeLink, fingerprint: str) -> tuple[int, ...] | None:
    """A profile that was counted with the coordinator's own anchors and embedder; others do not compare."""
    ready = link.ready
    if ready.profile is None or ready.profile.anchors != ANCHORS_ID or ready.embedder_fingerprint != fingerprint:
        return None
    return ready.profile.counts
