"""A node's part in the secure sum of votes for keywords: its units pay, vote and are noised before anything leaves.

The node decides by its own policy under which terms it votes; what the coordinator says is checked against them, and
all nodes of a sum are held to the same question, candidates and noise by the name of the session that they sign.
"""

import asyncio
import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Protocol, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.errors import ForbiddenError, SecureSumError, SettingsError
from frag.policy_settings import DpSettings
from frag.privacy.keywords import MAX_CANDIDATES, MAX_NOISE_MULTIPLIER, KeywordRule, noised, tally
from frag.privacy.words import MAX_WORD_CHARS
from frag.secagg import Parameters, Participant
from frag.secagg.messages import Confirmations, Inbox, Key, Name, Roster, Survivors
from frag.secagg.ring import RingArray
from server.wire.messages import MIN_KEYWORD_RHO, KeywordStage, KeywordTerms, Question

_MAX_UNDER_WAY = 32
_T = TypeVar("_T")
Candidate = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_WORD_CHARS)]


class KeywordStart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a sum of votes begins: what is voted for, under which noise, and who takes part."""

    question: Question
    candidates: Annotated[tuple[Candidate, ...], msgspec.Meta(min_length=1, max_length=MAX_CANDIDATES)]
    noise_multiplier: Annotated[float, msgspec.Meta(gt=0, le=MAX_NOISE_MULTIPLIER)]
    colluders: Annotated[int, msgspec.Meta(ge=0, le=100)]
    max_votes: Annotated[int, msgspec.Meta(ge=1, le=100)]
    peers: Annotated[dict[Name, Key], msgspec.Meta(max_length=100)]

    def __repr__(self) -> str:
        return f"KeywordStart({len(self.candidates)} candidates, {len(self.peers)} peers)"

    def rule(self) -> KeywordRule:
        """Raises SettingsError when there cannot be such a sum."""
        return KeywordRule(
            noise_multiplier=self.noise_multiplier,
            num_nodes=len(self.peers),
            colluders=self.colluders,
            max_votes=self.max_votes,
        )


def session_name(query_id: str, start: bytes) -> str:
    """Names a sum by all that it is about, so that nodes that were told different things agree on nothing."""
    return f"keywords/{query_id}/{hashlib.sha256(start).hexdigest()}"


class PaysForPassages(Protocol):
    """Units of mode `dp`."""

    @property
    def rho(self) -> float: ...

    def paid_passages(self, question: str, rho: float, query_id: str) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class _Sum:
    """`turn` keeps two requests for one stage from both passing it."""

    participant: Participant
    vector: RingArray = field(repr=False)
    turn: threading.Lock = field(default_factory=threading.Lock)


class KeywordDesk:
    """Carries out stages in order; anything else is refused.

    Args:
        node_id: Of this node.
        identity: Its Ed25519 key.
        settings: Its budget; fixed and public.
        units: Who votes, and pays for it.
        admit: Says by the node's policy why a question may not be answered now, or nothing.
        pinned: Raw public identities by node id, from the signed roster; None where there is no roster, and the
            coordinator is believed.

    Raises:
        SettingsError: The budget is for so many questions that no keyword could come out of the noise.
    """

    def __init__(
        self,
        *,
        node_id: str,
        identity: Ed25519PrivateKey,
        settings: DpSettings,
        units: PaysForPassages,
        admit: Callable[[], str],
        pinned: Mapping[str, bytes] | None = None,
    ) -> None:
        if units.rho < MIN_KEYWORD_RHO:
            raise SettingsError(
                f"[policy.dp] leaves ρ = {units.rho:.2g} for an answer, {MIN_KEYWORD_RHO:g} is the least for keywords.",
                "Lower questions, raise epsilon, or set keywords = false.",
            )
        self._node_id = node_id
        self._identity = identity
        self._settings = settings
        self._units = units
        self._admit = admit
        self._pinned = pinned
        self._under_way: dict[str, _Sum] = {}

    @property
    def terms(self) -> KeywordTerms:
        """What the coordinator is told; it can keep to them or go without this node."""
        return KeywordTerms(
            rho=self._units.rho,
            colluders=self._settings.colluders,
            epsilon=self._settings.epsilon,
            delta=self._settings.delta,
            is_pinned=self._pinned is not None,
        )

    async def carry_out(self, request: KeywordStage) -> bytes:
        """One stage; returns the reply.

        Raises:
            SecureSumError: It does not follow the protocol.
            ForbiddenError: The node's policy does not allow it.
            LedgerError: The units could not be charged, or the question came before.
        """
        try:
            return await self._stage(request)
        except (msgspec.DecodeError, UnicodeDecodeError, SettingsError) as error:
            raise SecureSumError(f"The stage {request.stage} came with something else: {error}.") from error

    async def _stage(self, request: KeywordStage) -> bytes:
        if request.stage == "keys":
            begun = await asyncio.to_thread(self._begin, request)
            while len(self._under_way) >= _MAX_UNDER_WAY:
                del self._under_way[next(iter(self._under_way))]
            self._under_way[request.query_id] = begun
            return _packed(begun.participant.advertise())
        known = self._under_way.get(request.query_id)
        if known is None:
            raise SecureSumError("There is no sum for this question under way here.")
        if request.stage == "unmask":
            del self._under_way[request.query_id]
        return await asyncio.to_thread(_continue, request, known)

    def _begin(self, request: KeywordStage) -> _Sum:
        """The charge is durable before the first word leaves, whatever becomes of the sum."""
        start = _read(request, KeywordStart)
        rule = start.rule()
        self._check(start, rule)
        parameters = Parameters(
            session=session_name(request.query_id, request.content),
            num_nodes=len(start.peers),
            length=len(start.candidates) + 1,
        )
        texts = self._units.paid_passages(start.question, rule.rho, request.query_id)
        vector = noised(tally(texts, start.candidates, rule), rule)
        return _Sum(Participant(self._node_id, self._identity, start.peers, parameters), vector)

    def _check(self, start: KeywordStart, rule: KeywordRule) -> None:
        if reason := self._admit():
            raise ForbiddenError(f"This node does not answer now: {reason}.")
        if rule.rho > self._units.rho or start.colluders < self._settings.colluders:
            raise ForbiddenError("This node gives votes under more noise only.")
        if self._pinned is not None and any(self._pinned.get(name) != key for name, key in start.peers.items()):
            raise SecureSumError("A peer is not the one that the signed roster names.")
        if len(set(start.peers.values())) != len(start.peers):
            raise SecureSumError("Two peers have one key.")
        if self._node_id not in start.peers:
            raise SecureSumError("This node is not among those that the sum is over.")


def _continue(request: KeywordStage, known: _Sum) -> bytes:
    participant = known.participant
    with known.turn:
        match request.stage:
            case "shares":
                return _packed(participant.share(_read(request, Roster)))
            case "masked":
                return participant.mask(_read(request, Inbox), known.vector).vector
            case "confirm":
                return _packed(participant.confirm(_read(request, Survivors)))
            case _:
                return _packed(participant.unmask(_read(request, Confirmations)))


def _packed(message: msgspec.Struct) -> bytes:
    return msgspec.msgpack.encode(message)


def _read(request: KeywordStage, kind: type[_T]) -> _T:
    return msgspec.msgpack.decode(request.content, type=kind)
