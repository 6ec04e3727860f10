"""An embedder for work in the background: it rests between small batches, and stops when it is told to."""

import threading
import time
from collections.abc import Sequence

import numpy as np

from frag.errors import NotReadyError
from frag.protocols import Embedder, FloatArray, Progress

_TEXTS_PER_BATCH = 16


class Throttled:
    """Implements `frag.protocols.Embedder`.

    Args:
        embedder: Does the work.
        share: Of the time, in (0, 1], that it works; it rests the remaining part.
        ending: Set when it shall stop.
    """

    def __init__(self, embedder: Embedder, share: float, ending: threading.Event) -> None:
        self._embedder = embedder
        self._share = share
        self._ending = ending

    @property
    def fingerprint(self) -> str:
        return self._embedder.fingerprint

    @property
    def dimension(self) -> int:
        return self._embedder.dimension

    @property
    def max_tokens(self) -> int:
        return self._embedder.max_tokens

    def release(self) -> None:
        """From now on it works as fast as it can."""
        self._share = 1.0

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        return self._embedder.token_offsets(text)

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> FloatArray:
        """As the embedder. Raises NotReadyError when it was told to stop."""
        if self._share >= 1 or not texts:
            return self._embedder.embed(texts, progress)
        parts = []
        for first in range(0, len(texts), _TEXTS_PER_BATCH):
            started = time.monotonic()
            parts.append(self._embedder.embed(texts[first : first + _TEXTS_PER_BATCH]))
            if self._ending.wait((time.monotonic() - started) * (1 - self._share) / self._share):
                raise NotReadyError("The node is ending.", "The next start takes this up again.")
            if progress:
                progress(first + len(parts[-1]), len(texts))
        return np.concatenate(parts)
