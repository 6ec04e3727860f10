"""When an index grows, and into what: files, or a Qdrant server that the collection names."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from retrievers.segments.growth import BLOCK, SEAL_AGAIN_AT, SEAL_AT, Commit, Growth
from retrievers.segments.manifest import read_wish

_GRACE_S = 5.0
"""Searches of other processes that have just read the manifest open its files within this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """When an index grows; a test goes through all of it with a few passages.

    `seal_at`, `seal_again_at` and `block` as in `Growth`; `grace_s`: how long replaced files are kept for others.
    """

    seal_at: int = SEAL_AT
    seal_again_at: int = SEAL_AGAIN_AT
    block: int = BLOCK
    grace_s: float = _GRACE_S


DEFAULT_PACE = Pace()


def growth_of(connection: sqlite3.Connection, folder: Path, commit: Commit, pace: Pace = DEFAULT_PACE) -> Growth:
    """For the collection in `folder`; the caller holds `growth_lock`. Raises IndexStoreError."""
    if address := read_wish(connection):
        from retrievers.qdrant.growth import QdrantGrowth

        return QdrantGrowth(connection, folder, commit, url=address, block=pace.block)
    return Growth(connection, folder, commit, seal_at=pace.seal_at, seal_again_at=pace.seal_again_at, block=pace.block)
