"""What an asker says of an answer, sealed to the node that gave it.

Whoever seals signs: the asker, where it holds the nodes' keys, else the coordinator in its place. Knows nothing of
networks, or of what a node does with it.
"""

import time
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from frag.errors import BadRequestError, SealingError
from frag.sealing import Key, info_of, require_signature, seal, unseal

MAX_CORRECTION_CHARS = 4_000
MAX_AGE_S = 660
"""A sealed remark is good for so long; a node remembers for as long that it has seen it."""
CLOCK_SKEW_S = 30

Rating = Literal[-1, 0, 1]
WORDS: dict[str, Rating] = {"down": -1, "up": 1}
"""Other names of ratings."""


def rating_of(word: Rating | str) -> Rating:
    """The rating behind its name. Raises BadRequestError for another."""
    if isinstance(word, str):
        if word not in WORDS:
            raise BadRequestError(f"{word[:20]!r} is no rating.", "Use up, down, or -1, 0 and 1.")
        return WORDS[word]
    return word


class Remark(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rating, and what would have been right if that was said. `author` (Ed25519) signs; `issued_at` in Unix s."""

    author: Key
    issued_at: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
    rating: Rating
    correction: Annotated[str, msgspec.Meta(max_length=MAX_CORRECTION_CHARS)] = ""

    def __repr__(self) -> str:
        return f"Remark({len(self.correction)} chars)"


def seal_remark(
    rating: Rating, correction: str, *, signer: Ed25519PrivateKey, recipient: bytes, node_id: str, query_id: bytes
) -> bytes:
    """An envelope that only the node can open.

    Args:
        rating: -1, 0 or 1.
        correction: At most MAX_CORRECTION_CHARS characters; may be empty.
        signer: Who says it.
        recipient: The node's X25519 key, 32 bytes, from a `KeyCard` that was checked.
        node_id: Whom it is for.
        query_id: 16 bytes; the question that the answer was to.

    Raises:
        SealingError: `recipient` is no usable key, or `query_id` is too short or too long.
    """
    remark = Remark(
        author=signer.public_key().public_bytes_raw(), issued_at=int(time.time()), rating=rating, correction=correction
    )
    return seal(msgspec.msgpack.encode(remark), signer, recipient, info_of("feedback", node_id, query_id))


def open_remark(
    envelope: bytes,
    keys: list[X25519PrivateKey],
    *,
    node_id: str,
    query_id: bytes,
    clock: Callable[[], float] = time.time,
) -> Remark:
    """What was sealed with `seal_remark`, its signature and time checked.

    Raises:
        SealingError: It is for another, was changed, is not signed by its author, or is too old.
    """
    info = info_of("feedback", node_id, query_id)
    refused = SealingError("There is no sealing key in force.")
    for key in keys:
        try:
            opened = unseal(envelope, key, info)
        except SealingError as error:
            refused = error
            continue
        remark = _decoded(opened.content)
        require_signature(opened, remark.author, key.public_key().public_bytes_raw(), info)
        _check_time(remark, clock())
        return remark
    raise refused


def _decoded(content: bytes) -> Remark:
    try:
        return msgspec.msgpack.decode(content, type=Remark)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SealingError("An envelope holds something else than feedback.") from error


def _check_time(remark: Remark, now: float) -> None:
    if not now - MAX_AGE_S <= remark.issued_at <= now + CLOCK_SKEW_S:
        raise SealingError("Sealed feedback is too old, or dated ahead.", code="bad_time")
