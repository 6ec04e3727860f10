"""What the metrics of both processes share: a registry of one's own, buckets, and the text format."""

from typing import TYPE_CHECKING

import frag

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
"""Upper edges in seconds: from a null fan-out to the longest deadline that is usual."""


def new_registry() -> "CollectorRegistry":
    """With what every process tells of itself: memory, CPU, open files, version."""
    from prometheus_client import CollectorRegistry, Gauge, ProcessCollector

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    Gauge("frag_build_info", "Version of frag.", ["version"], registry=registry).labels(frag.__version__).set(1)
    return registry


def exposition(registry: "CollectorRegistry") -> bytes:
    """The registry in Prometheus' text format."""
    from prometheus_client import generate_latest

    return generate_latest(registry)
