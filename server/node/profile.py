"""Publishes the node's topic profile on a public schedule: once an epoch, noised, kept on disk.

The same noise is shown until the epoch ends, also after a restart: fresh noise each time could be averaged away. What a
publication costs is charged to every unit of the collections that claim differential privacy before the noise is drawn.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import structlog

from frag.durable import write_private
from frag.errors import FragError, LedgerError, NotReadyError
from frag.policy_settings import DpSettings
from frag.privacy.accounting import rho_within
from frag.privacy.discrete_gaussian import discrete_gaussian
from frag.privacy.ledger import Ledger
from frag.protocols import Embedder, FloatArray
from frag.routing import ANCHOR_TEXTS, ANCHORS_ID, Profile, noised, rho_of_publication, topic_counts
from frag.settings import RoutingSettings

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Voter:
    """One unit: a unit vector [dimension], and whether its collection claims differential privacy, so that it pays."""

    collection: str
    vector: FloatArray
    pays: bool


Voters = Callable[[], Mapping[str, Voter]]
"""By unit, named as the ledger knows it."""


def united(voters: Sequence[Voter]) -> Voter:
    """All documents of one unit as one voter: the mean of their vectors."""
    mean = np.stack([voter.vector for voter in voters]).mean(axis=0)
    vector: FloatArray = (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
    return Voter(voters[0].collection, vector, pays=any(voter.pays for voter in voters))


class _Published(msgspec.Struct, frozen=True, kw_only=True):
    epoch: int
    embedder: str
    profile: Profile


@dataclass(slots=True, kw_only=True)
class ProfileDesk:
    """`answers`: the budget that publications share with answers. Blocking; one thread at a time."""

    file: Path
    ledger_file: Path
    settings: RoutingSettings
    embedder: Embedder
    voters: Voters
    answers: DpSettings
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
        embedder = self.embedder.fingerprint
        voters = self.voters()
        charged = self._charged({name: voter.collection for name, voter in voters.items() if voter.pays})
        rows = [voter.vector for name, voter in voters.items() if not voter.pays or name in charged]
        votes = np.stack(rows) if rows else np.zeros((0, self.embedder.dimension), np.float32)
        counts = topic_counts(votes, self.embedder.embed(ANCHOR_TEXTS))
        if self.embedder.fingerprint != embedder:
            raise NotReadyError("The embedder has changed meanwhile.", "The next epoch publishes.")
        profile = Profile(anchors=ANCHORS_ID, counts=noised(counts, partial(discrete_gaussian, self.settings.noise_sd)))
        published = _Published(epoch=epoch, embedder=embedder, profile=profile)
        write_private(self.file, msgspec.json.encode(published))
        self._published = published

    def _charged(self, units: Mapping[str, str]) -> frozenset[str]:
        """Units that could pay for a publication, and have."""
        rho = rho_of_publication(self.settings.noise_sd)
        if not units or rho > self.settings.dp_rho:
            return frozenset()
        limit = min(self.settings.dp_rho, rho_within(self.answers.epsilon, self.answers.delta))
        try:
            ledger = Ledger.open(self.ledger_file)
            try:
                return frozenset(ledger.charge(units, rho, limit))
            finally:
                ledger.close()
        except LedgerError as error:
            _log.warning("profile_without_private_units", reason=error.what)
            return frozenset()

    def _newest(self) -> _Published | None:
        if not self._is_read:
            self._is_read = True
            self._published = _read(self.file)
        return self._published


def _read(file: Path) -> _Published | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Published)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
