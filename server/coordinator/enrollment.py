"""How a node gets on the list: a one-time token out of band, then proof of possession of its key."""

import hashlib
from dataclasses import dataclass

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.errors import AuthenticationError, BadRequestError
from server.coordinator.database import Database
from server.coordinator.links import Registry
from server.wire import identity
from server.wire.handshake import enrollment_transcript, identity_transcript
from server.wire.messages import NodeId, Nonce, Signature
from server.wire.token import format_token, new_token

PUBLIC_NODE_ID = "public"
"""The coordinator's own corpus; no silo may enroll under this name."""


class IdentityRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fresh nonce, and the hash of the certificate that the node sees."""

    nonce: Nonce
    spki_sha256: Nonce


class IdentityProof(msgspec.Struct, frozen=True):
    public_key: Nonce
    signature: Signature


class EnrollRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The token's secret (32 bytes; only its hash is stored), the new node's public key, and its signature over
    both and the coordinator's fingerprint."""

    node_id: NodeId
    token_secret: Nonce
    public_key: Nonce
    signature: Signature

    def __repr__(self) -> str:
        """Without the secret."""
        return f"EnrollRequest({self.node_id})"


class _TokenSubject(msgspec.Struct):
    node_id: NodeId


@dataclass(frozen=True, slots=True)
class Enrollment:
    """Tokens, enrollment and revocation over the database and the live connections."""

    database: Database
    registry: Registry
    key: Ed25519PrivateKey
    accepted_spki: frozenset[bytes]

    def prove_identity(self, asked: IdentityRequest) -> IdentityProof:
        """Raises AuthenticationError when the node sees a certificate that is not ours."""
        if asked.spki_sha256 not in self.accepted_spki:
            raise AuthenticationError(
                "The node sees a certificate that the coordinator does not accept.",
                "Add the SPKI hash of the front proxy to tls.accepted_spki_sha256.",
            )
        signed = identity_transcript(asked.spki_sha256, asked.nonce)
        return IdentityProof(identity.public_bytes(self.key), self.key.sign(signed))

    async def make_token(self, node_id: str, url: str, operator: str = "") -> dict[str, str]:
        """Returns the token line and when it expires. Raises BadRequestError for an impossible name.

        Args:
            node_id: Of the new node.
            url: Where it reaches the coordinator.
            operator: Who runs it; empty: nobody who runs another one.
        """
        check_node_id(node_id)
        if operator:
            check_node_id(operator)
        print_ = identity.fingerprint(identity.public_bytes(self.key))
        token = new_token(node_id, url, print_)
        expires_at = await self.database.add_token(token.token_hash, node_id, operator)
        return {"token": format_token(token), "expires_at": expires_at.isoformat()}

    async def enroll(self, asked: EnrollRequest) -> None:
        """Raises AuthenticationError when the token is not good or possession is not proved."""
        print_ = identity.fingerprint(identity.public_bytes(self.key))
        token_hash = hashlib.sha256(asked.token_secret).digest()
        signed = enrollment_transcript(asked.node_id, token_hash, asked.public_key, print_)
        if not identity.verify(asked.public_key, asked.signature, signed):
            raise AuthenticationError("The node did not prove that it holds its key.", "Run enroll again.")
        await self.database.enroll(token_hash, asked.node_id, asked.public_key)
        self.registry.enrolled.add(asked.node_id)
        if link := self.registry.link(asked.node_id):
            await link.close()

    async def revoke(self, node_id: str) -> None:
        """Raises NotFoundError when the node is not enrolled."""
        await self.database.revoke_node(node_id)
        self.registry.enrolled.discard(node_id)
        if link := self.registry.link(node_id):
            await link.close()


def check_node_id(node_id: str) -> None:
    """Raises BadRequestError unless `node_id` can name a silo."""
    try:
        msgspec.convert({"node_id": node_id}, _TokenSubject)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"{node_id[:80]!r} cannot name a node.", "Use 1 to 64 of a-z, 0-9 and hyphen.") from error
    if node_id == PUBLIC_NODE_ID:
        raise BadRequestError(f"{node_id!r} is the coordinator's own corpus.", "Choose another name.")
