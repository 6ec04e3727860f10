"""Seeded unit vectors to measure indices with, clusters or real passages with noise; and their exact neighbours."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from frag.protocols import FloatArray

DIMENSION = 384
BLOCK = 16_384
_CLUSTERS = 5000
_CLUSTER_NOISE = 0.9
"""Length of the noise about a centre of norm 1: clusters overlap, with cosines of about 0.55 inside one."""
_PASSAGE_NOISE = 0.6


def clustered(count: int, seed: int) -> Iterator[FloatArray]:
    """Blocks of [n, 384] about 5,000 centres, of Zipf-like sizes; the centres are the same for every `seed`."""
    centres = unit(np.random.default_rng(0).standard_normal((_CLUSTERS, DIMENSION), dtype=np.float32))
    shares = 1 / np.arange(10, _CLUSTERS + 10)
    yield from _about(centres, shares / shares.sum(), _CLUSTER_NOISE, count, seed)


def about_passages(passages: FloatArray, count: int, seed: int) -> Iterator[FloatArray]:
    """The same about `passages` [n, 384] of norm 1, each as often as any other."""
    shares = np.full(len(passages), 1 / len(passages))
    yield from _about(passages, shares, _PASSAGE_NOISE, count, seed)


def unit(vectors: FloatArray) -> FloatArray:
    """Scaled to norm 1."""
    scaled: FloatArray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


def read_blocks(path: Path, block: int = BLOCK) -> Iterator[FloatArray]:
    """The rows of a file of float32, [n, 384] at a time, read and not mapped."""
    with path.open("rb") as file:
        while content := file.read(4 * DIMENSION * block):
            yield np.frombuffer(content, dtype="<f4").reshape(-1, DIMENSION)


def nearest(path: Path, questions: FloatArray, top_k: int) -> npt.NDArray[np.int64]:
    """Rows [questions, top_k] of the largest inner products, exactly."""
    rows = np.zeros((len(questions), 0), dtype=np.int64)
    scores = np.zeros((len(questions), 0), dtype=np.float32)
    first = 0
    for vectors in read_blocks(path):
        rows = np.hstack(
            [rows, np.broadcast_to(np.arange(first, first + len(vectors)), (len(questions), len(vectors)))]
        )
        scores = np.hstack([scores, questions @ vectors.T])
        best = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
        rows, scores = np.take_along_axis(rows, best, 1), np.take_along_axis(scores, best, 1)
        first += len(vectors)
    return rows


def _about(
    centres: FloatArray, shares: npt.NDArray[np.float64], noise: float, count: int, seed: int
) -> Iterator[FloatArray]:
    numbers = np.random.default_rng(seed)
    for first in range(0, count, BLOCK):
        size = min(BLOCK, count - first)
        chosen = centres[numbers.choice(len(centres), size, p=shares)]
        steps = numbers.standard_normal((size, DIMENSION), dtype=np.float32) * np.float32(noise / DIMENSION**0.5)
        yield unit(chosen + steps)
