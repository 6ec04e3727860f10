"""Puts the cosines of different embedders on one scale, so that nodes with different ones can be compared.

A logistic curve is fitted to each embedder's cosines of public questions with passages that answer them, against those
with all other passages: how sure a cosine makes us that a passage answers. Two embedders' cosines mean the same where
they make equally sure; the scale is that of the built-in embedder, which is its own measure.

Source: Platt 1999, "Probabilistic Outputs for Support Vector Machines", with its smoothed targets; the classes weigh
the same.
"""

import hashlib
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from frag.durable import write_private
from frag.protocols import Embedder
from frag.types import Scale
from retrievers.scale_pairs import PAIRS

SCALE_ID: Final = hashlib.sha256("\0".join(text for pair in PAIRS for text in pair).encode()).hexdigest()[:16]
"""Names the pairs: scales that were found with others do not compare."""

REFERENCE: Final = (20.5287, -6.3239)
"""Slope and offset of the curve of all-minilm-l6-v2."""

_STEPS = 100
_Array = npt.NDArray[np.float64]


def find_scale(embedder: Embedder) -> Scale | None:
    """Where the embedder's cosines stand on the common scale; None where they tell nothing of what answers.

    Depends on the embedder alone, and on no document. Embeds some hundred short texts.
    """
    questions = embedder.embed([question for question, _ in PAIRS])
    passages = embedder.embed([passage for _, passage in PAIRS])
    slope, offset = logistic(np.asarray(questions @ passages.T, dtype=np.float64))
    if not (np.isfinite([slope, offset]).all() and slope > 0):
        return None
    return Scale(slope=slope / REFERENCE[0], offset=(offset - REFERENCE[1]) / REFERENCE[0])


class _Kept(msgspec.Struct, frozen=True):
    embedder: str
    pairs: str
    curve: tuple[float, float] | None


def scale_of(embedder: Embedder, folder: Path) -> Scale | None:
    """As `find_scale`, remembered in `folder` for the next start."""
    file = folder / "scale.json"
    try:
        kept = msgspec.json.decode(file.read_bytes(), type=_Kept)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        kept = None
    if kept and (kept.embedder, kept.pairs) == (embedder.fingerprint, SCALE_ID):
        return Scale(slope=kept.curve[0], offset=kept.curve[1]) if kept.curve else None
    scale = find_scale(embedder)
    curve = (scale.slope, scale.offset) if scale else None
    write_private(file, msgspec.json.encode(_Kept(embedder.fingerprint, SCALE_ID, curve)))
    return scale


def logistic(cosines: _Array) -> tuple[float, float]:
    """Slope and offset of the log-odds that a pair belongs together, by its cosine.

    Args:
        cosines: [n, n] of questions and passages, of which the equally numbered belong together.
    """
    number = len(cosines)
    own = np.eye(number, dtype=bool)
    x = np.concatenate([cosines[own], cosines[~own]])
    targets = np.concatenate(
        [np.full(number, 1 - 1 / (number + 2)), np.full(len(x) - number, 1 / (len(x) - number + 2))]
    )
    weights = np.concatenate([np.ones(number), np.full(len(x) - number, number / (len(x) - number))])
    design = np.stack([x - x.mean(), np.ones_like(x)], axis=1)
    found = np.zeros(2)
    for _ in range(_STEPS):  # Newton's method on a convex loss
        certainty = 1 / (1 + np.exp(-(design @ found).clip(-500, 500)))
        gradient = design.T @ (weights * (targets - certainty))
        curvature = (design * (weights * certainty * (1 - certainty))[:, None]).T @ design
        step = np.linalg.solve(curvature + 1e-9 * np.eye(2), gradient)
        found = found + step
        if np.abs(step).max() < 1e-9:
            break
    return float(found[0]), float(found[1] - found[0] * x.mean())
