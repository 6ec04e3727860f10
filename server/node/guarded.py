"""A node's parts behind the gate: each lets go of what it made when that is written down and release is not stopped."""

import hashlib
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from frag.errors import ReleaseStoppedError
from frag.routing import Profile
from frag.sealing import KeyCard
from frag.types import AnswerMode, NodeAnswer
from server.node.gate import STOPPED, Gate
from server.node.journal import Entry
from server.node.parts import Answers, Keywords, Profiles, Seals, Trains
from server.node.training.desk import Carrier
from server.wire.messages import Ask, KeywordStage, KeywordTerms, Progress, SealedAsk, SumStage, Train, Trained

_SAY_NOTHING = frozenset(
    {STOPPED, "rate_limited", "mode_not_allowed", "no_documents", "no_language_model", "not_under_dp"}
)
"""Reasons that follow from the policy alone: they tell nothing of documents, and a flood must not fill the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedAnswers:
    """Answers to questions. `rho` is what a unit pays for one in mode `dp`."""

    inner: Answers
    gate: Gate
    channel: Literal["open", "sealed"] = "open"
    rho: float = 0.0
    noted: Callable[[Ask, NodeAnswer], None] = lambda _ask, _answer: None
    """Told of what was let out. Must be cheap."""

    def describe(self) -> tuple[tuple[AnswerMode, ...], str, int]:
        """As the parts say; while release is stopped, not even the number of documents."""
        modes, fingerprint, num_documents = self.inner.describe()
        return modes, fingerprint, 0 if self.gate.stopped else num_documents

    async def answer(self, ask: Ask) -> NodeAnswer:
        """A released answer, written down; or the reason why nothing is released."""
        if self.gate.stopped:
            return _withheld(ask)
        try:
            answer = await self.inner.answer(ask)
            if answer.withheld not in _SAY_NOTHING:
                await self.gate.record(self._entry(ask, answer))
            self.gate.require_open()
        except ReleaseStoppedError:
            return _withheld(ask)
        self.noted(ask, answer)
        return answer

    def _entry(self, ask: Ask, answer: NodeAnswer) -> Entry:
        journal = self.gate.journal
        kind: Literal["answer", "sources", "withheld"] = "answer" if answer.text else "sources"
        is_private = answer.mode is AnswerMode.DP and bool(answer.text)
        return Entry(
            kind="withheld" if answer.withheld else kind,
            mode=answer.mode,
            channel=self.channel,
            question_hash=journal.hash_of(ask.question),
            content_hash=journal.hash_of(answer.text) if answer.text else "",
            num_chars=len(answer.text),
            num_citations=len(answer.citations),
            num_redactions=sum(answer.redactions.values()),
            reason=answer.withheld,
            prompt_version=answer.prompt_version,
            epsilon=answer.epsilon if math.isfinite(answer.epsilon) else None,
            delta=answer.delta,
            rho=self.rho if is_private else 0.0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedSeals:
    """Sealed questions. Answers pass a `GuardedAnswers` inside; sealing takes a moment, in which release may stop."""

    inner: Seals
    gate: Gate

    def card(self) -> KeyCard:
        """The sealing key."""
        return self.inner.card()

    async def answer(self, request: SealedAsk) -> bytes:
        """The sealed reply. Raises ReleaseStoppedError, or what opening it raises."""
        envelope = await self.inner.answer(request)
        self.gate.require_open()
        return envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedTraining:
    """Rounds of training: losses and counts that are reported beside the update, which goes by `GuardedCarrier`."""

    inner: Trains
    gate: Gate

    def dataset_names(self) -> tuple[str, ...]:
        """None while release is stopped."""
        return () if self.gate.stopped else self.inner.dataset_names()

    def dataset_sizes(self) -> dict[str, int]:
        """None while release is stopped."""
        return {} if self.gate.stopped else self.inner.dataset_sizes()

    async def train(self, request: Train, on_progress: Callable[[Progress], None]) -> Trained:
        """One round, given up when release is stopped. Raises ReleaseStoppedError."""
        trained = await self.gate.unless_stopped(self.inner.train(request, on_progress))
        numbers = msgspec.json.encode({"examples": trained.num_examples, **trained.metrics})
        await self.gate.record(
            Entry(
                kind="training",
                job=request.job_id,
                round=request.round_num,
                num_bytes=len(numbers),
                content_hash=self.gate.journal.hash_of(numbers),
            )
        )
        return trained

    async def sum_stage(self, request: SumStage) -> bytes:
        """One stage of a secure sum. Raises ReleaseStoppedError."""
        self.gate.require_open()
        content = await self.inner.sum_stage(request)
        self.gate.require_open()
        return content


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedCarrier:
    """What brings updates and masked vectors."""

    inner: Carrier
    gate: Gate

    async def fetch(self, ticket: str, sha256: str, target: Path) -> None:
        """Brings weights in."""
        await self.inner.fetch(ticket, sha256, target)

    async def bring(self, ticket: str, content: bytes) -> None:
        """Takes weights out, and breaks off when release is stopped. Raises ReleaseStoppedError."""
        digest = hashlib.sha256(content).hexdigest()
        await self.gate.record(Entry(kind="upload", num_bytes=len(content), content_hash=digest))
        await self.gate.unless_stopped(self.inner.bring(ticket, content))


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedKeywords:
    """Votes for keywords."""

    inner: Keywords
    gate: Gate

    @property
    def terms(self) -> KeywordTerms:
        """Under what the node votes."""
        return self.inner.terms

    async def carry_out(self, request: KeywordStage) -> bytes:
        """One stage. Raises ReleaseStoppedError."""
        self.gate.require_open()
        content = await self.inner.carry_out(request)
        if request.stage == "masked":
            terms = self.inner.terms
            entry = Entry(
                kind="votes",
                mode=AnswerMode.DP,
                question_hash=self.gate.journal.hash_of(request.query_id),
                num_bytes=len(content),
                epsilon=terms.epsilon,
                delta=terms.delta,
                rho=terms.rho,
            )
            await self.gate.record(entry)
        self.gate.require_open()
        return content


@dataclass(slots=True, kw_only=True)
class GuardedProfiles:
    """The topic profile. Blocking, like what it guards."""

    inner: Profiles
    gate: Gate
    _shown: Profile | None = None

    def current(self) -> Profile | None:
        """The newest publication; none while release is stopped. Each is written down when it is first shown."""
        profile = None if self.gate.stopped else self.inner.current()
        if profile is None or profile == self._shown:
            return profile
        content = msgspec.json.encode(profile)
        try:
            self.gate.record_now(
                Entry(kind="profile", num_bytes=len(content), content_hash=self.gate.journal.hash_of(content))
            )
        except ReleaseStoppedError:
            return None
        self._shown = profile
        return profile

    def publish_if_due(self) -> None:
        """Makes a new one when an epoch has begun, but not while release is stopped."""
        if not self.gate.stopped:
            self.inner.publish_if_due()


def _withheld(ask: Ask) -> NodeAnswer:
    return NodeAnswer(node_id="", mode=ask.answer_mode, withheld=STOPPED)


def recorder_of_gains(gate: Gate) -> Callable[[str, float], Awaitable[None]]:
    """Writes down the one number that is told of a personal prompt. Raises ReleaseStoppedError."""

    async def record(version: str, gain: float) -> None:
        digest = gate.journal.hash_of(msgspec.json.encode(gain))
        await gate.record(Entry(kind="training", job=version, num_bytes=8, content_hash=digest))

    return record
