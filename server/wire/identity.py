"""Ed25519 keys on disk and their fingerprints, and the SHA-256 of a certificate's public key.

Node and coordinator each make their own key; the private half never leaves its file (mode 0600).
"""

import hashlib
import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_der_x509_certificate, load_pem_x509_certificate

from frag.durable import write_private
from frag.errors import SettingsError

NO_TLS_SPKI = bytes(32)
"""Stands for the certificate where there is no TLS: on loopback only (PRIVACY §5)."""


def make_key(path: Path) -> Ed25519PrivateKey:
    """Makes a key and keeps its 32 raw bytes at `path`, mode 0600, durably."""
    key = Ed25519PrivateKey.generate()
    write_private(path, key.private_bytes_raw())
    return key


def load_key(path: Path, mend: str) -> Ed25519PrivateKey:
    """Raises SettingsError, with `mend`, when the file is missing or not 32 bytes."""
    try:
        return Ed25519PrivateKey.from_private_bytes(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"The identity key {path} cannot be read: {error}.", mend) from error


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """The 32 raw bytes of the public half."""
    return key.public_key().public_bytes_raw()


def fingerprint(public_key: bytes) -> str:
    """SHA-256 of the raw public key, hex."""
    return hashlib.sha256(public_key).hexdigest()


def verify(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """True when `signature` (64 bytes) over `message` was made by the holder of `public_key` (32 bytes)."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def spki_of_der(certificate: bytes) -> bytes:
    """SHA-256 of the SubjectPublicKeyInfo of a DER certificate: 32 bytes that survive its renewal."""
    key = load_der_x509_certificate(certificate).public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def spki_of_pem_file(path: Path) -> bytes:
    """Like `spki_of_der`, for the first certificate of a PEM file.

    Raises:
        SettingsError: The file is not one.
    """
    try:
        certificate = load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"The certificate {path} cannot be read: {error}.", "Give a PEM file.") from error
    return spki_of_der(certificate.public_bytes(Encoding.DER))


def new_nonce() -> bytes:
    """32 bytes from the operating system."""
    return os.urandom(32)
