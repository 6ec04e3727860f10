"""The mechanism under DP-SGD and DP-FedAvg: who takes part, clipped rows, noise on their sum, and a fixed divisor.

Every function works on the last axis and takes any axes before it, so that audits run the same code many times at once.

Source: Abadi et al. 2016, "Deep Learning with Differential Privacy", Algorithm 1.
"""

import numpy as np
import numpy.typing as npt

from frag.privacy.draws import Floats, SecretDraws


def taking_part(draws: SecretDraws, rate: float, *shape: int) -> npt.NDArray[np.bool_]:
    """Whether each takes part: independently with probability `rate`, so that the number of them varies."""
    return draws.uniforms(*shape) < rate


def clipped(rows: npt.ArrayLike, clip_norm: float) -> Floats:
    """Rows [..., d] scaled down to the norm C, float64; a row with a number that is not finite becomes 0.

    A row that were left out of a count instead would change what is divided by.
    """
    wide = np.asarray(rows, np.float64)
    norms = np.linalg.norm(wide, axis=-1, keepdims=True)
    finite = np.isfinite(norms)
    with np.errstate(invalid="ignore", divide="ignore"):
        factors = np.where(finite, np.minimum(1.0, clip_norm / norms), 0.0)
    return np.where(finite, wide, 0.0) * np.where(norms == 0, 0.0, factors)


def noised_mean(
    total: npt.ArrayLike, *, clip_norm: float, noise_multiplier: float, expected: float, draws: SecretDraws
) -> Floats:
    """(total + N(0, σ² C² I)) / expected, float64.

    Args:
        total: Sum of clipped rows [..., d]; zeros where nobody takes part, which is noised all the same.
        clip_norm: C.
        noise_multiplier: σ.
        expected: How many take part on average. Never how many did: that number is private.
        draws: Where the noise comes from.
    """
    wide = np.asarray(total, np.float64)
    return (wide + noise_multiplier * clip_norm * draws.normals(*wide.shape)) / expected
