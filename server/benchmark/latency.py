"""Percentiles of latency samples."""

from collections.abc import Sequence

import msgspec
import numpy as np


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Percentiles of one series, in milliseconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


def percentiles(samples_s: Sequence[float]) -> Latency:
    """Of at least one sample, in seconds, by linear interpolation between neighbours."""
    p50, p95, p99 = (round(float(value) * 1000, 3) for value in np.percentile(samples_s, (50, 95, 99)))
    return Latency(p50_ms=p50, p95_ms=p95, p99_ms=p99)
