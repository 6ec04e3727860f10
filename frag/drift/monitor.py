"""Follows questions in windows: the first ones say what is usual, each later one is compared with them.

Knows nothing of nodes or disks: what it holds is gone with the process.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from frag.drift.falling import abstention_p_value, confidence_p_value
from frag.drift.shift import NUM_PERMUTATIONS, mmd_p_value
from frag.protocols import FloatArray

SIGNALS = ("questions", "confidence", "abstention")
_STRONGEST = 4.0
"""-log10 of the p-value that counts as 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One question: its embedding, [dimension], and its answer's score in [0, 1], None where the node abstained."""

    vector: FloatArray = field(repr=False)
    score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one window said: `alarms` are the signals that say drift, `signal` the one with the lowest p-value, and
    `strength` in [0, 1] grows as that falls."""

    is_drift: bool
    alarms: tuple[str, ...]
    signal: str
    strength: float
    p_values: dict[str, float]


class DriftMonitor:
    """Windows of `window` questions against the first `reference_windows` of them.

    Args:
        window: Questions that are judged together.
        reference_windows: Windows that say what is usual.
        level: Chance of a false alarm in one window, over all three signals (Bonferroni).
        permutations: Of the test of embeddings; over 3 / level of them, or it can see nothing.
    """

    def __init__(
        self,
        *,
        window: int = 50,
        reference_windows: int = 4,
        level: float = 0.01,
        permutations: int = NUM_PERMUTATIONS,
    ) -> None:
        self._size = window
        self._num_reference = window * reference_windows
        self._level = level
        self._permutations = permutations
        self._usual: list[Answered] = []
        self._current: list[Answered] = []
        self._num_windows = 0

    @property
    def is_ready(self) -> bool:
        """Whether enough is known to compare with."""
        return len(self._usual) >= self._num_reference

    def add(self, answered: Answered) -> Reading | None:
        """Takes a question; what its window says when that is full. Takes some ms then."""
        if not self.is_ready:
            self._usual.append(answered)
            return None
        self._current.append(answered)
        if len(self._current) < self._size:
            return None
        window, self._current = self._current, []
        self._num_windows += 1
        return self._read(window)

    def forget(self) -> None:
        """What comes next is the new usual."""
        self._usual, self._current = [], []

    def _read(self, window: Sequence[Answered]) -> Reading:
        values = {
            "questions": mmd_p_value(
                _vectors(self._usual), _vectors(window), seed=self._num_windows, permutations=self._permutations
            ),
            "confidence": confidence_p_value(_scores(self._usual), _scores(window)),
            "abstention": abstention_p_value(_abstained(self._usual), _abstained(window)),
        }
        signal = min(SIGNALS, key=lambda name: values[name])
        alarms = tuple(name for name in SIGNALS if values[name] <= self._level / len(SIGNALS))
        return Reading(
            is_drift=bool(alarms),
            alarms=alarms,
            signal=signal,
            strength=strength(values[signal]),
            p_values=values,
        )


def strength(p_value: float) -> float:
    """From 0 for a p-value of 1 to 1 for one of 1e-4 or less, in steps of 0.01."""
    return round(min(1.0, -math.log10(max(p_value, 10**-_STRONGEST)) / _STRONGEST), 2)


def _vectors(answered: Sequence[Answered]) -> FloatArray:
    return np.stack([item.vector for item in answered])


def _scores(answered: Sequence[Answered]) -> list[float]:
    return [item.score for item in answered if item.score is not None]


def _abstained(answered: Sequence[Answered]) -> list[bool]:
    return [item.score is None for item in answered]
