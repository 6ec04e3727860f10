"""What a node announces and may change while it is connected."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from frag.routing import Profile
from frag.sealing import KeyCard
from server.node.parts import Desks
from server.wire.messages import DriftSign


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One state of it. Compared every few seconds; what differs is announced."""

    datasets: tuple[str, ...] = ()
    sealing_key: KeyCard | None = None
    profile: Profile | None = None
    withholds: str = ""
    embedder: str = ""
    prompt_version: str = ""
    personal_gain: float | None = None
    dataset_sizes: Mapping[str, int] = field(default_factory=dict)
    drift: DriftSign | None = None

    @classmethod
    def of(cls, desks: Desks) -> "Offer":
        """Looks at the node's desks. Blocking."""
        stopped = desks.gate is not None and desks.gate.stopped
        return cls(
            datasets=desks.trains.dataset_names() if desks.trains else (),
            sealing_key=desks.seals.card() if desks.seals else None,
            profile=desks.profiles.current() if desks.profiles else None,
            withholds="release_stopped" if stopped else "",
            embedder=desks.answers.describe()[1],
            prompt_version=desks.prompts.version if desks.prompts else "",
            personal_gain=desks.personal.gain if desks.personal and not stopped else None,
            dataset_sizes=desks.trains.dataset_sizes() if desks.trains else {},
            drift=desks.drifts.sign() if desks.drifts and not stopped else None,
        )
