"""What a node announces and may change while it is connected."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from frag.routing import Profile
from frag.sealing import KeyCard
from server.node.parts import Answers, HasGain, MayStop, Profiles, Seals, SeesDrift, TakesPrompts, Trains
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
    def of(
        cls,
        trains: Trains | None,
        seals: Seals | None,
        profiles: Profiles | None,
        gate: MayStop | None = None,
        answers: Answers | None = None,
        personal: HasGain | None = None,
        drifts: SeesDrift | None = None,
        prompts: TakesPrompts | None = None,
    ) -> "Offer":
        """Looks at the node's parts. Blocking."""
        return cls(
            datasets=trains.dataset_names() if trains else (),
            sealing_key=seals.card() if seals else None,
            profile=profiles.current() if profiles else None,
            withholds="release_stopped" if gate and gate.stopped else "",
            embedder=answers.describe()[1] if answers else "",
            prompt_version=prompts.version if prompts else "",
            personal_gain=personal.gain if personal and not (gate and gate.stopped) else None,
            dataset_sizes=trains.dataset_sizes() if trains else {},
            drift=drifts.sign() if drifts and not (gate and gate.stopped) else None,
        )
