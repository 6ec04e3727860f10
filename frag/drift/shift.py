"""Whether two samples of embeddings come from one distribution: the kernel two-sample test, calibrated by permutation.

Source: Gretton et al. 2012, "A kernel two-sample test", §5 (MMD, eq. 5) and §3 (permutation); as a drift detector
Rabanser, Günnemann and Lipton 2019, "Failing loudly".
"""

import numpy as np

from frag.protocols import FloatArray

NUM_PERMUTATIONS = 1999


def mmd_p_value(reference: FloatArray, window: FloatArray, *, seed: int, permutations: int = NUM_PERMUTATIONS) -> float:
    """How rarely a split of both samples at random is as far apart as they are.

    Under exchangeability it is below α with probability at most α, whatever the embeddings are.

    Args:
        reference: [m, dimension], what was usual.
        window: [n, dimension], what came last.
        seed: Of the permutations.
        permutations: How many; the smallest possible value is 1 / (permutations + 1).

    Returns:
        In (0, 1]. 1 when either sample has fewer than two rows.
    """
    if len(reference) < 2 or len(window) < 2:
        return 1.0
    gram = _gram(np.concatenate([reference, window]))
    weights = np.full(len(gram), 1 / len(reference))
    weights[len(reference) :] = -1 / len(window)
    random = np.random.default_rng(seed)
    shuffled = random.permuted(np.tile(weights, (permutations, 1)), axis=1)
    drawn = np.einsum("ij,ij->i", shuffled @ gram, shuffled)
    # rounding must not make a split that is the same one look nearer
    return float((1 + np.sum(drawn >= weights @ gram @ weights - 1e-12)) / (permutations + 1))


def _gram(rows: FloatArray) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    """Gaussian kernel [rows, rows] whose width is the median distance."""
    points = rows.astype(np.float64)
    squares = np.einsum("ij,ij->i", points, points)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2 * points @ points.T, 0.0)
    median = float(np.median(distances[np.triu_indices(len(points), 1)]))
    kernel: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = np.exp(-distances / (median or 1.0))
    return kernel
