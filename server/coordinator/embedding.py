"""The coordinator's own embedder: loaded at first use, since most questions need none."""

import asyncio
from collections.abc import Sequence

from frag.errors import BadRequestError, ModelError
from frag.protocols import Embedder, FloatArray
from frag.settings import ModelSettings


class LazyEmbedder:
    """One embedder, loaded once however many ask at the same time."""

    def __init__(self, models: ModelSettings) -> None:
        self._models = models
        self._lock = asyncio.Lock()
        self._embedder: Embedder | None = None

    async def loaded(self, purpose: str, instead: str) -> Embedder:
        """The embedder.

        Args:
            purpose: Who needs it; for the message when it is missing, such as "Consensus".
            instead: What to do without it.

        Raises:
            BadRequestError: The coordinator has none.
        """
        async with self._lock:
            if self._embedder is None:
                try:
                    self._embedder = await asyncio.to_thread(self._load)
                except ModelError as error:
                    name = self._models.embedder
                    raise BadRequestError(
                        f"{purpose} needs the embedder {name} at the coordinator: {error.what}",
                        f"Run `frag models pull {name}` there, or {instead}.",
                    ) from error
            return self._embedder

    def _load(self) -> Embedder:
        from server.node.assembly import load_embedder

        return load_embedder(self._models)


def cosines(embedder: Embedder, texts: Sequence[str]) -> FloatArray:
    """[n, n] cosines of all pairs. Blocking."""
    vectors = embedder.embed(texts)
    similar: FloatArray = vectors @ vectors.T
    return similar
