"""The coordinator's own embedder: loaded at first use, since most questions need none."""

import asyncio
from collections.abc import Sequence

from frag.errors import BadRequestError, ModelError
from frag.protocols import Embedder, FloatArray
from frag.settings import ModelSettings


class LazyEmbedder:
    """One embedder, loaded once however many ask at the same time.

    Args:
        models: Names it.
        purpose: Who needs it; for the message when it is missing, such as "Consensus".
        instead: What to do without it.
    """

    def __init__(self, models: ModelSettings, purpose: str, instead: str) -> None:
        self._models = models
        self._purpose = purpose
        self._instead = instead
        self._lock = asyncio.Lock()
        self._embedder: Embedder | None = None

    async def loaded(self) -> Embedder:
        """Raises BadRequestError when the coordinator has no embedder."""
        async with self._lock:
            if self._embedder is None:
                self._embedder = await asyncio.to_thread(self._load)
            return self._embedder

    def _load(self) -> Embedder:
        from server.node.assembly import load_embedder

        name = self._models.embedder
        try:
            return load_embedder(self._models)
        except ModelError as error:
            raise BadRequestError(
                f"{self._purpose} needs the embedder {name} at the coordinator: {error.what}",
                f"Run `frag models pull {name}` there, or {self._instead}.",
            ) from error


def cosines(embedder: Embedder, texts: Sequence[str]) -> FloatArray:
    """[n, n] cosines of all pairs. Blocking."""
    vectors = embedder.embed(texts)
    similar: FloatArray = vectors @ vectors.T
    return similar
