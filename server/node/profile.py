"""Publishes the node's topic profile on a public schedule: once an epoch, noised, kept on disk.

The same noise is shown until the epoch ends, also after a restart: fresh noise each time could be averaged away. What a
publication costs is charged to every unit of the collections that claim differential privacy before the noise is drawn.
"""

import hashlib
import hmac
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import structlog

from frag.durable import write_private
from frag.errors import FragError, LedgerError
from frag.privacy.discrete_gaussian import discrete_gaussian
from frag.privacy.ledger import Ledger
from frag.protocols import Embedder, FloatArray
from frag.routing import ANCHOR_TEXTS, ANCHORS_ID, Profile, noised, rho_of_publication, topic_counts
from frag.settings import RoutingSettings

_log = structlog.get_logger()
Units = Callable[[], Mapping[str, Mapping[str, FloatArray]]]
"""Mean unit vector by collection and source document."""


class _Published(msgspec.Struct, frozen=True, kw_only=True):
    epoch: int
    embedder: str
    profile: Profile


@dataclass(slots=True, kw_only=True)
class ProfileDesk:
    """`claims_dp`: collections that are answered in mode `dp` alone. Blocking; one thread at a time."""

    file: Path
    ledger_file: Path
    settings: RoutingSettings
    embedder: Embedder
    units: Units
    claims_dp: Collection[str]
    unit_key: bytes = field(repr=False)
    clock: Callable[[], float] = time.time
    _published: _Published | None = None
    _is_read: bool = False
    _tried: int = -1

    def current(self) -> Profile | None:
        """The newest publication, if it was made with the embedder of now."""
        published = self._newest()
        if not self.settings.publish or published is None or published.embedder != self.embedder.fingerprint:
            return None
        return published.profile

    def publish_if_due(self) -> None:
        """Publishes when an epoch has begun without it. Whether it is due depends on the clock alone."""
        epoch = int(self.clock() // (self.settings.every_h * 3600))
        published = self._newest()
        if not self.settings.publish or max(self._tried, published.epoch if published else -1) >= epoch:
            return
        self._tried = epoch
        try:
            self._publish(epoch)
        except (FragError, OSError) as error:
            _log.warning("profile_not_published", reason=type(error).__name__)

    def _publish(self, epoch: int) -> None:
        vectors = [self._votes(name, units) for name, units in self.units().items()]
        rows = np.concatenate(vectors) if vectors else np.zeros((0, self.embedder.dimension), np.float32)
        counts = topic_counts(rows, self.embedder.embed(ANCHOR_TEXTS))
        profile = Profile(anchors=ANCHORS_ID, counts=noised(counts, partial(discrete_gaussian, self.settings.noise_sd)))
        published = _Published(epoch=epoch, embedder=self.embedder.fingerprint, profile=profile)
        write_private(self.file, msgspec.json.encode(published))
        self._published = published

    def _votes(self, collection: str, units: Mapping[str, FloatArray]) -> FloatArray:
        """Vectors of the units that take part; of a collection that claims DP only those that could pay."""
        names = list(units)
        if collection in self.claims_dp:
            names = self._charged(collection, names)
        return (
            np.stack([units[name] for name in names]) if names else np.zeros((0, self.embedder.dimension), np.float32)
        )

    def _charged(self, collection: str, names: list[str]) -> list[str]:
        rho = rho_of_publication(self.settings.noise_sd)
        if rho > self.settings.dp_rho:
            return []
        keys = {ledger_key(self.unit_key, collection, name): name for name in names}
        try:
            ledger = Ledger.open(self.ledger_file)
            try:
                return [keys[key] for key in ledger.charge(collection, list(keys), rho, self.settings.dp_rho)]
            finally:
                ledger.close()
        except LedgerError as error:
            _log.warning("profile_without_collection", collection=collection, reason=error.what)
            return []

    def _newest(self) -> _Published | None:
        if not self._is_read:
            self._is_read = True
            self._published = _read(self.file)
        return self._published


def ledger_key(key: bytes, collection: str, document_id: str) -> str:
    """The name of a unit in the ledger: survives edits and re-indexing, and tells nothing without the node's key."""
    return hmac.new(key, f"unit\0{collection}\0{document_id}".encode(), hashlib.sha256).hexdigest()


def _read(file: Path) -> _Published | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Published)
    except (OSError, msgspec.DecodeError):
        return None
