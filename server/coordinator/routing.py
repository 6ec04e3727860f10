"""`route = "top:m"`: the nodes that are most likely to hold an answer, by their profiles and by past answers.

Weights are learned from released answers alone, in memory, and are bounded: past luck decides between nodes that claim
alike, never against what all claim. A share of the questions explores, so that a new node is asked at all.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from frag.anchors import ANCHOR_TEXTS, ANCHORS_ID
from frag.errors import BadRequestError, ModelError
from frag.protocols import Embedder, FloatArray
from frag.routing import affinities, best, scores, topic_shares
from frag.settings import ModelSettings
from server.coordinator.links import NodeLink

EXPLORE = 0.1
"""Share of routed questions whose last place goes to a node outside the best."""

_MIN_WEIGHT, _WEIGHT_RANGE = 0.5, 1.0


@dataclass(frozen=True, slots=True)
class _Compass:
    embedder: Embedder
    anchors: FloatArray


class Router:
    """Chooses nodes. The embedder is loaded at the first routed question."""

    def __init__(self, models: ModelSettings, random_source: random.Random | None = None) -> None:
        self._models = models
        self._random = random_source or random.SystemRandom()
        self._compass: _Compass | None = None
        self._lock = asyncio.Lock()
        self._asked: Counter[str] = Counter()
        self._helped: Counter[str] = Counter()

    async def choose(self, question: str, links: Sequence[NodeLink], number: int) -> list[NodeLink]:
        """At most `number` of `links`, in their order.

        Raises:
            BadRequestError: The coordinator has no embedder to place the question with.
        """
        if number >= len(links):
            return list(links)
        compass = await self._load()
        vector = (await asyncio.to_thread(compass.embedder.embed, [question]))[0]
        profiles = {link.node_id: _counts(link, compass.embedder.fingerprint) for link in links}
        weights = {link.node_id: self.weight(link.node_id) for link in links}
        ranking = scores(affinities(vector, compass.anchors), topic_shares(profiles), weights)
        chosen = set(self._explored(best(ranking, number), sorted(ranking)))
        return [link for link in links if link.node_id in chosen]

    def _explored(self, chosen: list[str], nodes: Sequence[str]) -> list[str]:
        others = [node for node in nodes if node not in chosen]
        if others and self._random.random() < EXPLORE:
            return [*chosen[:-1], self._random.choice(others)]
        return chosen

    def learn(self, asked: Iterable[str], helped: Iterable[str]) -> None:
        """Notes who was asked, and whose released answer the merged one rests on."""
        self._asked.update(asked)
        self._helped.update(helped)

    def weight(self, node_id: str) -> float:
        """Between 0.5 and 1.5; a node that was never asked has 1."""
        success = (self._helped[node_id] + 1) / (self._asked[node_id] + 2)
        return _MIN_WEIGHT + _WEIGHT_RANGE * success

    async def _load(self) -> _Compass:
        async with self._lock:
            if self._compass is None:
                self._compass = await asyncio.to_thread(_load_compass, self._models)
            return self._compass


def _load_compass(models: ModelSettings) -> _Compass:
    from server.node.assembly import load_embedder

    try:
        embedder = load_embedder(models)
    except ModelError as error:
        raise BadRequestError(
            f"Routing needs the embedder {models.embedder} at the coordinator: {error.what}",
            f"Run `frag models pull {models.embedder}` there, or ask with route `all`.",
        ) from error
    return _Compass(embedder, embedder.embed(ANCHOR_TEXTS))


def _counts(link: NodeLink, fingerprint: str) -> tuple[int, ...] | None:
    """A profile that was counted with the coordinator's own anchors and embedder; others do not compare."""
    ready = link.ready
    if ready.profile is None or ready.profile.anchors != ANCHORS_ID or ready.embedder_fingerprint != fingerprint:
        return None
    return ready.profile.counts
