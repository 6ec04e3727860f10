"""Challenge–response between node and coordinator (PRIVACY §5): pure functions and the two sides of the exchange.

Both sides sign both nonces and the hash of the certificate that the node verified, so that a recorded or relayed
handshake is worthless. Labels differ by side; a signature of one side can never pass as the other's.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.errors import AuthenticationError, ProtocolError
from server.wire import identity
from server.wire.codec import decode_to_coordinator, decode_to_node, encode
from server.wire.messages import PROTOCOL_VERSION, Challenge, Proof, Refused, Welcome

LIMIT_S = 5.0
_NODE_LABEL = b"frag-auth-v1\0"
_COORDINATOR_LABEL = b"frag-auth-v1-coordinator\0"
_ENROLL_LABEL = b"frag-enroll-v1\0"
_IDENTITY_LABEL = b"frag-identity-v1\0"


class FrameChannel(Protocol):
    """The little that the handshake needs of a WebSocket."""

    async def send_bytes(self, frame: bytes) -> None: ...

    async def receive_bytes(self) -> bytes: ...


PublicKeyOf = Callable[[str], Awaitable[bytes | None]]
"""Public key (32 bytes) of an enrolled, unrevoked node, or None."""


def node_transcript(node_id: str, spki_sha256: bytes, server_nonce: bytes, node_nonce: bytes) -> bytes:
    """What a node signs to connect."""
    return _NODE_LABEL + node_id.encode() + b"\0" + spki_sha256 + server_nonce + node_nonce


def coordinator_transcript(node_id: str, spki_sha256: bytes, server_nonce: bytes, node_nonce: bytes) -> bytes:
    """What the coordinator signs in return."""
    return _COORDINATOR_LABEL + node_id.encode() + b"\0" + spki_sha256 + server_nonce + node_nonce


def enrollment_transcript(node_id: str, token_hash: bytes, public_key: bytes, coordinator: str) -> bytes:
    """What a new node signs: possession of its key, for this token and this coordinator (fingerprint)."""
    return _ENROLL_LABEL + node_id.encode() + b"\0" + token_hash + public_key + coordinator.encode()


def identity_transcript(spki_sha256: bytes, nonce: bytes) -> bytes:
    """What the coordinator signs before a node shows it a token."""
    return _IDENTITY_LABEL + spki_sha256 + nonce


async def accept_node(
    channel: FrameChannel, key: Ed25519PrivateKey, public_key_of: PublicKeyOf, accepted_spki: frozenset[bytes]
) -> str:
    """The coordinator's side. Returns the id of the node that proved itself within LIMIT_S.

    Raises:
        AuthenticationError: Unknown or revoked node, wrong certificate hash, bad signature.
        ProtocolError: Something else than a Proof arrived, or another protocol version.
        TimeoutError: Nothing arrived in time.
    """
    async with asyncio.timeout(LIMIT_S):
        server_nonce = identity.new_nonce()
        await channel.send_bytes(encode(Challenge(protocol_version=PROTOCOL_VERSION, server_nonce=server_nonce)))
        proof = decode_to_coordinator(await channel.receive_bytes())
        if not isinstance(proof, Proof) or proof.protocol_version != PROTOCOL_VERSION:
            raise ProtocolError("The first frame of a node must be a Proof of this protocol version.")
        refusal = await _why_refused(proof, server_nonce, public_key_of, accepted_spki)
        if refusal:
            await channel.send_bytes(encode(Refused(code=refusal)))
            raise AuthenticationError(f"A connection as node {proof.node_id} was refused: {refusal}.")
        signed = coordinator_transcript(proof.node_id, proof.spki_sha256, server_nonce, proof.node_nonce)
        await channel.send_bytes(encode(Welcome(signature=key.sign(signed))))
        return proof.node_id


async def _why_refused(
    proof: Proof, server_nonce: bytes, public_key_of: PublicKeyOf, accepted_spki: frozenset[bytes]
) -> str:
    public_key = await public_key_of(proof.node_id)
    if public_key is None:
        return "not_enrolled"
    if proof.spki_sha256 not in accepted_spki:
        return "wrong_certificate"
    signed = node_transcript(proof.node_id, proof.spki_sha256, server_nonce, proof.node_nonce)
    return "" if identity.verify(public_key, proof.signature, signed) else "bad_signature"


async def prove_node(
    channel: FrameChannel, node_id: str, key: Ed25519PrivateKey, coordinator_key: bytes, spki_sha256: bytes
) -> None:
    """The node's side; returns once the coordinator has proved that it holds the pinned `coordinator_key`.

    Raises:
        AuthenticationError: The coordinator refused this node, or could not prove its own identity.
        ProtocolError: Another message or protocol version.
        TimeoutError: Nothing arrived within LIMIT_S.
    """
    async with asyncio.timeout(LIMIT_S):
        challenge = decode_to_node(await channel.receive_bytes())
        if not isinstance(challenge, Challenge) or challenge.protocol_version != PROTOCOL_VERSION:
            raise ProtocolError(
                "The coordinator speaks another protocol version.", "Install the same frag on both sides."
            )
        nonce = identity.new_nonce()
        signed = node_transcript(node_id, spki_sha256, challenge.server_nonce, nonce)
        proof = Proof(
            protocol_version=PROTOCOL_VERSION,
            node_id=node_id,
            node_nonce=nonce,
            spki_sha256=spki_sha256,
            signature=key.sign(signed),
        )
        await channel.send_bytes(encode(proof))
        answer = decode_to_node(await channel.receive_bytes())
        expected = coordinator_transcript(node_id, spki_sha256, challenge.server_nonce, nonce)
        _check_welcome(answer, coordinator_key, expected)


def _check_welcome(answer: object, coordinator_key: bytes, expected: bytes) -> None:
    if isinstance(answer, Refused):
        raise AuthenticationError(
            f"The coordinator refused this node: {answer.code}.", "Ask its operator to enroll the node again."
        )
    if not isinstance(answer, Welcome) or not identity.verify(coordinator_key, answer.signature, expected):
        raise AuthenticationError(
            "The coordinator could not prove the identity that was pinned at enrollment.",
            "Check coordinator_url; if the coordinator was set up anew, enroll this node again.",
        )
