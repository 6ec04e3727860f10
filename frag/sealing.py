"""Sealed envelopes: what an asker and a node say to each other over a relay that must not read it.

HPKE in base mode (RFC 9180: X25519, HKDF-SHA256, ChaCha20-Poly1305) hides the content; a signature inside says who
wrote it. Padding leaves its length visible in steps of 256 bytes. Nothing here knows of questions, or of networks.
"""

from typing import Annotated, Literal

import msgspec
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from frag.errors import SealingError

PAD_BYTES = 256
OVERHEAD_BYTES = 48
"""What HPKE adds: an X25519 public key and the tag."""

REQUEST_ID_BYTES = 16
Direction = Literal["ask", "reply", "feedback"]
Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_CARD_LABEL = b"frag-sealing-key-v1\0"
_SIGN_LABEL = b"frag-sealed-signature-v1\0"
_LENGTH_BYTES = 4
_SIGNATURE_BYTES = 64


class KeyCard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A node's HPKE key as it is announced: signed by the node's Ed25519 `identity`, good until `expires_at` (Unix s).

    `identity` is only a claim; `check_card` compares it with what the reader trusts.
    """

    identity: Key
    public_key: Key
    expires_at: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
    signature: _Signature


class Opened(msgspec.Struct, frozen=True):
    """Content of an envelope, and the signature that is still to be checked with `require_signature`."""

    content: bytes
    signature: bytes

    def __repr__(self) -> str:
        return f"Opened({len(self.content)} bytes)"


def make_card(node_id: str, identity: Ed25519PrivateKey, public_key: bytes, expires_at: int) -> KeyCard:
    """Signs an X25519 public key (32 bytes) as the HPKE key of this node."""
    return KeyCard(
        identity=identity.public_key().public_bytes_raw(),
        public_key=public_key,
        expires_at=expires_at,
        signature=identity.sign(_card_bytes(node_id, public_key, expires_at)),
    )


def check_card(card: KeyCard, node_id: str, identity: bytes, now: float) -> None:
    """Raises SealingError unless `identity` (32 bytes) signed this key for this node, and it is in force."""
    if card.identity != identity:
        raise SealingError(f"The sealing key of {node_id} is signed by another identity.", code="untrusted_key")
    if not _verified(identity, card.signature, _card_bytes(node_id, card.public_key, card.expires_at)):
        raise SealingError(f"The sealing key of {node_id} is not signed by it.", code="untrusted_key")
    if card.expires_at <= now:
        raise SealingError(f"The sealing key of {node_id} has expired.", code="expired_key")


def info_of(direction: Direction, node_id: str, request_id: bytes) -> bytes:
    """What binds an envelope to its way: label ‖ node ‖ request id (16 bytes). Node ids hold no zero byte."""
    if len(request_id) != REQUEST_ID_BYTES:
        raise SealingError("A request id has 16 bytes.")
    return b"frag-sealed-" + direction.encode() + b"-v1\0" + node_id.encode() + b"\0" + request_id


def seal(content: bytes, signer: Ed25519PrivateKey, recipient: bytes, info: bytes) -> bytes:
    """Signs, pads to a multiple of 256 bytes and encrypts.

    Args:
        content: What to say.
        signer: Who says it; the signature travels inside.
        recipient: X25519 public key, 32 bytes.
        info: From `info_of`; whoever opens must give the same.

    Returns:
        48 bytes more than the padded content.

    Raises:
        SealingError: `recipient` is no usable public key.
    """
    signature = signer.sign(_signed_bytes(info, recipient, content))
    try:
        return _SUITE.encrypt(_padded(content, signature), X25519PublicKey.from_public_bytes(recipient), info)
    except ValueError as error:
        raise SealingError("The recipient's key is not one that can be sealed to.", code="untrusted_key") from error


def unseal(envelope: bytes, key: X25519PrivateKey, info: bytes) -> Opened:
    """Decrypts and takes the padding off.

    Raises:
        SealingError: It was sealed for another key, node or request, was changed on its way, or is padded wrongly.
    """
    try:
        plain = _SUITE.decrypt(envelope, key, info)
    except (InvalidTag, ValueError) as error:
        raise SealingError("An envelope does not open: it is for another, or was changed.") from error
    size = int.from_bytes(plain[:_LENGTH_BYTES])
    content, rest = plain[_LENGTH_BYTES : _LENGTH_BYTES + size], plain[_LENGTH_BYTES + size :]
    signature, padding = rest[:_SIGNATURE_BYTES], rest[_SIGNATURE_BYTES:]
    if len(plain) % PAD_BYTES or len(signature) < _SIGNATURE_BYTES or len(padding) >= PAD_BYTES or any(padding):
        raise SealingError("An envelope is not padded as agreed.")
    return Opened(content, signature)


def require_signature(opened: Opened, signer: bytes, recipient: bytes, info: bytes) -> None:
    """Raises SealingError unless `signer` (Ed25519, 32 bytes) wrote it, for this way and this recipient."""
    if not _verified(signer, opened.signature, _signed_bytes(info, recipient, opened.content)):
        raise SealingError("An envelope is not signed by whom it names.")


def _padded(content: bytes, signature: bytes) -> bytes:
    plain = len(content).to_bytes(_LENGTH_BYTES) + content + signature
    return plain + bytes(-len(plain) % PAD_BYTES)


def _signed_bytes(info: bytes, recipient: bytes, content: bytes) -> bytes:
    """The recipient is part of it, so that whoever opened it cannot pass it on as written to another."""
    return _SIGN_LABEL + len(info).to_bytes(2) + info + recipient + content


def _card_bytes(node_id: str, public_key: bytes, expires_at: int) -> bytes:
    return _CARD_LABEL + node_id.encode() + b"\0" + public_key + expires_at.to_bytes(8)


def _verified(public_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
