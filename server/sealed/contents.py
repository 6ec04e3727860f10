"""What lies inside the envelopes: what the asker wants with its terms, and the node's reply."""

from typing import Annotated

import msgspec

from frag.errors import ProtocolError, SealingError
from frag.sealing import Key
from frag.types import NodeAnswer
from server.wire.answers import node_answer, reply_message
from server.wire.codec import decode_to_coordinator, encode
from server.wire.messages import Ask, KeywordStage, KeywordTerms, Message, Reply

MAX_LIFETIME_S = 660
"""The longest deadline, and a minute for clocks that differ."""
_UnixSeconds = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]


class AskTerms(Message, frozen=True, kw_only=True, tag="ask_terms"):
    """Under what does this node vote for keywords? The reply is its `KeywordTerms`."""


Wanted = Ask | AskTerms | KeywordStage
"""An answer, the terms of a vote, or one stage of a secure sum of votes that the asker collects itself."""


class Inquiry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wanted, who asks (Ed25519), where the reply is sealed to (X25519, used once), and from when to when."""

    asker: Key
    reply_key: Key
    issued_at: _UnixSeconds
    expires_at: _UnixSeconds
    wanted: Wanted

    def __repr__(self) -> str:
        return "Inquiry()"


def encode_inquiry(inquiry: Inquiry) -> bytes:
    return msgspec.msgpack.encode(inquiry)


def decode_inquiry(content: bytes) -> Inquiry:
    """Raises SealingError when it is something else."""
    try:
        return msgspec.msgpack.decode(content, type=Inquiry)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SealingError("An envelope holds something else than a question.") from error


def encode_answer(answer: NodeAnswer) -> bytes:
    return encode(reply_message(0, answer))


def decode_answer(node_id: str, content: bytes) -> NodeAnswer:
    """A reply with the bounds of the open wire. Raises SealingError when it is something else."""
    try:
        reply = decode_to_coordinator(content)
    except ProtocolError as error:
        raise SealingError(f"The envelope of {node_id} holds something else than a reply.", code="bad_reply") from error
    if not isinstance(reply, Reply):
        raise SealingError(f"The envelope of {node_id} holds a {type(reply).__name__}.", code="bad_reply")
    return node_answer(node_id, reply)


def encode_terms(terms: KeywordTerms) -> bytes:
    return msgspec.msgpack.encode(terms)


def decode_terms(node_id: str, content: bytes) -> KeywordTerms:
    """Raises SealingError when it is something else."""
    try:
        return msgspec.msgpack.decode(content, type=KeywordTerms)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SealingError(f"The envelope of {node_id} holds something else than terms.", code="bad_reply") from error
