"""What a node announces and may change while it is connected."""

from dataclasses import dataclass
from typing import Protocol

from frag.routing import Profile
from frag.sealing import KeyCard
from server.wire.messages import KeywordStage, KeywordTerms, SealedAsk


class Seals(Protocol):
    """What opens sealed questions and seals the answers."""

    def card(self) -> KeyCard:
        """The key that is announced; changes now and then. May write the disk."""

    async def answer(self, request: SealedAsk) -> bytes: ...


class Profiles(Protocol):
    """What publishes the topic profile. Both may read the disk."""

    def current(self) -> Profile | None: ...

    def publish_if_due(self) -> None: ...


class Keywords(Protocol):
    """What takes part in a sum of votes for keywords."""

    @property
    def terms(self) -> KeywordTerms: ...

    async def carry_out(self, request: KeywordStage) -> bytes: ...


class MayStop(Protocol):
    """What knows whether the operator has stopped release. Never blocks."""

    @property
    def stopped(self) -> bool: ...


class HasDatasets(Protocol):
    def dataset_names(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One state of it. Compared every few seconds; what differs is announced."""

    datasets: tuple[str, ...] = ()
    sealing_key: KeyCard | None = None
    profile: Profile | None = None
    withholds: str = ""

    @classmethod
    def of(
        cls,
        trains: HasDatasets | None,
        seals: Seals | None,
        profiles: Profiles | None,
        gate: MayStop | None = None,
    ) -> "Offer":
        """Looks at the node's parts. Blocking."""
        return cls(
            datasets=trains.dataset_names() if trains else (),
            sealing_key=seals.card() if seals else None,
            profile=profiles.current() if profiles else None,
            withholds="release_stopped" if gate and gate.stopped else "",
        )
