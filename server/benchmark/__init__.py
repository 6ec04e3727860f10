"""Benchmarks of the shipped service, run by `frag bench`."""

from collections.abc import Callable

from frag.errors import FragError

OnProgress = Callable[[str, float], None]
"""Called with (what is under way, share of it that is done in [0, 1])."""


class BenchmarkError(FragError):
    """The service did not do the work that was to be measured."""

    code = "benchmark_failed"
