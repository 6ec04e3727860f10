"""Stand-ins for the heavy parts: a deterministic embedder without a model."""

import hashlib
import re
import time
from collections.abc import Sequence

import numpy as np

from frag.protocols import FloatArray, Progress

_TOKEN = re.compile(r"\w+|[^\w\s]")


class HashingEmbedder:
    """A hashed bag of lower-case words as a unit vector: texts that share words are near.

    `seconds_per_text` makes it as slow as a real one; `num_embedded` counts what passed through.
    """

    def __init__(
        self, dimension: int = 64, *, max_tokens: int = 256, seed: str = "", seconds_per_text: float = 0.0
    ) -> None:
        self.dimension = dimension
        self.max_tokens = max_tokens
        self.fingerprint = f"hashing-{dimension}-{seed}"
        self.seconds_per_text = seconds_per_text
        self.num_embedded = 0
        self._seed = seed
        self._places: dict[str, tuple[int, float]] = {}

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in _TOKEN.finditer(text)]

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> FloatArray:
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            time.sleep(self.seconds_per_text)
            for word in _TOKEN.findall(text.lower()):
                place, sign = self._place(word)
                vectors[row, place] += sign
            self.num_embedded += 1
            if progress:
                progress(row + 1, len(texts))
        vectors[~vectors.any(axis=1), 0] = 1.0
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def _place(self, word: str) -> tuple[int, float]:
        if word not in self._places:
            digest = hashlib.sha256((self._seed + word).encode()).digest()
            number = int.from_bytes(digest[:8], "big")
            self._places[word] = (number // 2 % self.dimension, 1.0 if number % 2 else -1.0)
        return self._places[word]
