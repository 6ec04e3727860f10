"""Key agreement, sealing, masks and signatures, all from `cryptography`."""

import hashlib
import os

import numpy as np
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from frag.errors import SecureSumError
from frag.secagg.ring import RingArray

SEED_BYTES = 32
_NONCE = bytes(16)  # a seed expands once
_NONCE_BYTES = 12


def agree(private: X25519PrivateKey, public: bytes, info: bytes) -> bytes:
    """A 32-byte key that both ends of a pair derive. Raises SecureSumError for a key that is none."""
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise SecureSumError("A peer's key cannot be used.") from error
    return HKDF(algorithm=SHA256(), length=SEED_BYTES, salt=None, info=info).derive(shared)


def expand(seed: bytes, length: int) -> RingArray:
    """`length` pseudo-random integers modulo 2^32 from a 256-bit seed."""
    stream = Cipher(ChaCha20(seed, _NONCE), mode=None).encryptor().update(bytes(4 * length))
    return np.frombuffer(stream, dtype="<u4")


def seal(key: bytes, content: bytes, about: bytes) -> bytes:
    """Encrypted for whoever holds the key; `about` is bound to it."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, content, about)


def unseal(key: bytes, sealed: bytes, about: bytes) -> bytes:
    """Raises SecureSumError when it was made with another key, or about something else."""
    try:
        return ChaCha20Poly1305(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], about)
    except (InvalidTag, ValueError) as error:
        raise SecureSumError("A share was altered, or is not for this node.") from error


def sign(key: Ed25519PrivateKey, about: bytes, *parts: bytes) -> bytes:
    """Over a domain and parts of any length."""
    return key.sign(_framed(about, parts))


def is_signed(public: bytes, signature: bytes, about: bytes, *parts: bytes) -> bool:
    """Whether the holder of `public` signed these parts."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, _framed(about, parts))
    except (InvalidSignature, ValueError):
        return False
    return True


def _framed(about: bytes, parts: tuple[bytes, ...]) -> bytes:
    framed = hashlib.sha256(about)
    for part in parts:
        framed.update(len(part).to_bytes(8) + part)
    return about + b"\0" + framed.digest()
