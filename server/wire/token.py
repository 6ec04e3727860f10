"""The one-time enrollment token: a secret for the coordinator, and its key fingerprint for the node."""

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass, field

import msgspec

from frag.errors import AuthenticationError

_PREFIX = "frag1_"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentToken:
    """`secret` is 32 random bytes; the coordinator keeps only `token_hash`."""

    node_id: str
    url: str
    coordinator_fingerprint: str
    secret: bytes = field(repr=False)

    @property
    def token_hash(self) -> bytes:
        """SHA-256 of the secret, 32 bytes."""
        return hashlib.sha256(self.secret).digest()


def new_token(node_id: str, url: str, coordinator_fingerprint: str) -> EnrollmentToken:
    """A token with a fresh secret from the operating system."""
    return EnrollmentToken(
        node_id=node_id, url=url, coordinator_fingerprint=coordinator_fingerprint, secret=os.urandom(32)
    )


def format_token(token: EnrollmentToken) -> str:
    """One line of text that an operator copies from one machine to the other."""
    parts = (token.node_id, token.url, bytes.fromhex(token.coordinator_fingerprint), token.secret)
    return _PREFIX + base64.urlsafe_b64encode(msgspec.msgpack.encode(parts)).decode().rstrip("=")


def parse_token(text: str) -> EnrollmentToken:
    """Raises AuthenticationError when `text` is not a whole token."""
    mend = "Copy the whole line that `frag coordinator token` printed."
    body = text.strip().removeprefix(_PREFIX)
    try:
        packed = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        node_id, url, print_, secret = msgspec.msgpack.decode(packed, type=tuple[str, str, bytes, bytes])
    except (binascii.Error, ValueError) as error:
        raise AuthenticationError("This is not an enrollment token.", mend) from error
    if len(secret) != 32 or len(print_) != 32:
        raise AuthenticationError("This enrollment token is damaged.", mend)
    return EnrollmentToken(node_id=node_id, url=url, coordinator_fingerprint=print_.hex(), secret=secret)
