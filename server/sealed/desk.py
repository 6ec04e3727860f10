"""The node's side: opens a sealed question, checks who asks and when, answers, and seals the reply."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from frag.errors import SealingError
from frag.sealing import KeyCard, Opened, info_of, require_signature, seal, unseal
from frag.settings import NodeSettings
from frag.types import AnswerMode
from server.node.parts import Answers, Keywords, TakesFeedback
from server.node.process import Peer
from server.node.state import NodeFolder
from server.rate import TokenBucket
from server.sealed.contents import (
    MAX_LIFETIME_S,
    AskTerms,
    Inquiry,
    Wanted,
    decode_inquiry,
    encode_answer,
    encode_terms,
)
from server.sealed.keys import SealingKeys
from server.sealed.replays import ReplayCache
from server.wire.messages import Ask, KeywordStage, SealedAsk

CLOCK_SKEW_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedDesk:
    """`askers`: Ed25519 public keys that may ask; empty lets everyone whom the coordinator admits.

    `keywords` is None where the node takes part in no vote.
    """

    node_id: str
    identity: Ed25519PrivateKey = field(repr=False)
    keys: SealingKeys
    replays: ReplayCache
    askers: Collection[bytes]
    bucket: TokenBucket
    answers: Answers
    keywords: Keywords | None = None
    clock: Callable[[], float] = time.time
    feedback: TakesFeedback | None = None

    def card(self) -> KeyCard:
        """The signed key that askers seal to. Blocking."""
        return self.keys.card()

    async def answer(self, request: SealedAsk) -> bytes:
        """The sealed reply.

        Raises:
            SealingError: The envelope does not open, or its asker, time or mode is refused.
            SecureSumError, ForbiddenError, LedgerError: A stage of a vote is refused.
        """
        inquiry = await asyncio.to_thread(self._admit, request)
        with self._asked_by(inquiry, request.sealed_id.hex()) as wanted:
            reply = await self._reply(wanted)
        info = info_of("reply", self.node_id, request.sealed_id)
        return await asyncio.to_thread(seal, reply, self.identity, inquiry.reply_key, info)

    @contextlib.contextmanager
    def _asked_by(self, inquiry: Inquiry, query_id: str) -> Iterator[Wanted]:
        """What is wanted; of a question its asker alone may say something afterwards."""
        if not isinstance(inquiry.wanted, Ask):
            yield inquiry.wanted
        elif self.feedback is None:
            yield msgspec.structs.replace(inquiry.wanted, query_id="")
        else:
            with self.feedback.asked_by(query_id, inquiry.asker):
                yield msgspec.structs.replace(inquiry.wanted, query_id=query_id)

    async def _reply(self, wanted: Wanted) -> bytes:
        if isinstance(wanted, Ask):
            return encode_answer(await self.answers.answer(wanted))
        if self.keywords is None:
            raise SealingError("This node votes for no keywords.", code="keywords_not_allowed")
        if isinstance(wanted, AskTerms):
            return encode_terms(self.keywords.terms)
        return await self.keywords.carry_out(wanted)

    def _admit(self, request: SealedAsk) -> Inquiry:
        info = info_of("ask", self.node_id, request.sealed_id)
        key, opened = self._open(request.envelope, info)
        inquiry = decode_inquiry(opened.content)
        require_signature(opened, inquiry.asker, key.public_key().public_bytes_raw(), info)
        self._check_scope(inquiry)
        self._check_time(inquiry)
        if _begins(inquiry.wanted) and self.bucket.take() > 0:
            raise SealingError("Too many sealed questions in a minute.", code="rate_limited")
        self.replays.admit(inquiry.asker, request.sealed_id, inquiry.expires_at, int(self.clock()))
        return inquiry

    def _open(self, envelope: bytes, info: bytes) -> tuple[X25519PrivateKey, Opened]:
        refused = SealingError("There is no sealing key in force.")
        for key in self.keys.in_force():
            try:
                return key, unseal(envelope, key, info)
            except SealingError as error:
                refused = error
        raise refused

    def _check_scope(self, inquiry: Inquiry) -> None:
        if self.askers and inquiry.asker not in self.askers:
            raise SealingError("This asker's key is not on the node's list.", code="not_permitted")
        if isinstance(inquiry.wanted, Ask) and inquiry.wanted.answer_mode is AnswerMode.CONSENSUS:
            raise SealingError("Consensus needs somebody who reads all answers.", code="mode_not_allowed")

    def _check_time(self, inquiry: Inquiry) -> None:
        now = self.clock()
        if inquiry.issued_at > now + CLOCK_SKEW_S or inquiry.expires_at - inquiry.issued_at > MAX_LIFETIME_S:
            raise SealingError("A sealed question is dated ahead, or lives too long.", code="bad_time")
        if inquiry.expires_at <= now:
            raise SealingError("A sealed question has expired.", code="expired")


def open_keys(folder: NodeFolder, settings: NodeSettings, peer: Peer) -> SealingKeys:
    """What is sealed to this node is opened with these. Blocking. Raises SettingsError when one cannot be read."""
    folder.sealing.mkdir(mode=0o700, parents=True, exist_ok=True)
    return SealingKeys(folder.sealing, settings.node_id, peer.key)


def _begins(wanted: Wanted) -> bool:
    """Whether it is a question of its own: a vote is one, whatever the number of its stages."""
    return not isinstance(wanted, KeywordStage) or wanted.stage == "keys"


def open_desk(
    folder: NodeFolder,
    settings: NodeSettings,
    peer: Peer,
    answers: Answers,
    keywords: Keywords | None = None,
    feedback: TakesFeedback | None = None,
    keys: SealingKeys | None = None,
) -> SealedDesk:
    """The desk of a node over its folder. Blocking. Raises SettingsError when keys or cache cannot be used."""
    folder.sealing.mkdir(mode=0o700, parents=True, exist_ok=True)
    return SealedDesk(
        feedback=feedback,
        node_id=settings.node_id,
        identity=peer.key,
        keys=keys or open_keys(folder, settings, peer),
        replays=ReplayCache.open(folder.sealing / "seen.db"),
        askers=frozenset(map(bytes.fromhex, settings.policy.askers)),
        bucket=TokenBucket(settings.policy.questions_per_minute),
        answers=answers,
        keywords=keywords,
    )
