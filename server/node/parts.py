"""What stands behind a node's connection: the real parts, or stand-ins in benchmarks and tests."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from frag.routing import Profile
from frag.sealing import KeyCard
from frag.types import AnswerMode, NodeAnswer
from server.node.found import Found
from server.wire.messages import (
    Ask,
    DriftSign,
    Feedback,
    KeywordStage,
    KeywordTerms,
    Progress,
    Promote,
    SealedAsk,
    SumStage,
    Train,
    Trained,
)


class Answers(Protocol):
    """What stands behind the connection: the real thing, or a null handler in benchmarks."""

    async def answer(self, ask: Ask) -> NodeAnswer: ...

    def describe(self) -> tuple[tuple[AnswerMode, ...], str, int]:
        """Allowed modes, embedder fingerprint, number of documents. May read the disk."""


class Trains(Protocol):
    """What does a round of training."""

    def dataset_names(self) -> tuple[str, ...]: ...

    def dataset_sizes(self) -> dict[str, int]:
        """Examples of the data sets whose number may be told. May read the disk."""

    async def train(self, request: Train, on_progress: Callable[[Progress], None]) -> Trained: ...

    async def sum_stage(self, request: SumStage) -> bytes: ...


class TakesPrompts(Protocol):
    """What makes a prompt version live."""

    @property
    def version(self) -> str: ...

    async def promote(self, request: Promote) -> None: ...


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


class Remembers(Protocol):
    """What keeps the questions that were answered, so that something can be said of the answers."""

    async def remember(self, ask: Ask, answer: NodeAnswer, shown: Sequence[Found]) -> None: ...


class TakesFeedback(Protocol):
    """What takes askers' feedback."""

    def asked_by(self, query_id: str, asker: bytes) -> AbstractContextManager[None]:
        """While a sealed question is answered: whose feedback alone will be taken."""

    async def take(self, feedback: Feedback) -> None:
        """Durable when it returns. Raises FragError with the code that the relay is told."""


class HasGain(Protocol):
    """What knows how much the node's own form of the live prompt gains. Never blocks."""

    @property
    def gain(self) -> float | None: ...


class SeesDrift(Protocol):
    """What watches for change in questions and documents."""

    def sign(self) -> DriftSign | None:
        """What is told of it. Blocking."""


class MayStop(Protocol):
    """What knows whether the operator has stopped release. Never blocks."""

    @property
    def stopped(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Desks:
    """All that stands behind one connection; what a desk would do is refused where there is none."""

    answers: Answers
    trains: Trains | None = None
    prompts: TakesPrompts | None = None
    seals: Seals | None = None
    profiles: Profiles | None = None
    keywords: Keywords | None = None
    feedback: TakesFeedback | None = None
    gate: MayStop | None = None
    personal: HasGain | None = None
    drifts: SeesDrift | None = None
