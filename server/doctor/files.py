"""Keys, models and certificates on the disk."""

import os
import ssl
import stat
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from cryptography.x509 import load_pem_x509_certificate

from frag.errors import SettingsError
from frag.listening import TlsSettings
from frag.models import Kind, locate
from frag.settings import NO_LANGUAGE_MODEL, ModelSettings
from server.doctor.finding import Check, UnwellError

RENEW_BEFORE = timedelta(days=14)
_RENEW = "Renew it, then restart the coordinator."


def key_permissions(keys: Sequence[Path]) -> str:
    """Raises UnwellError when others than the owner can read one of `keys`."""
    present = [key for key in keys if key.exists()]
    for key in present:
        mode = stat.S_IMODE(key.stat().st_mode)
        if mode & 0o077:
            raise UnwellError(f"{key} can be read by others (mode {mode:o}).", f"chmod 600 {key}")
        if not os.access(key, os.R_OK):
            raise UnwellError(f"{key} cannot be read by this user.", f"chown it to the user that runs frag: {key}")
    return f"{len(present)} private keys"


def model_checks(models: ModelSettings, *, verify: bool) -> list[Check]:
    """One check a model; `verify` hashes every file of a built-in one."""
    wanted = [(models.embedder, Kind.EMBEDDER), (models.ner, Kind.NER)]
    if models.language_model != NO_LANGUAGE_MODEL:
        wanted.append((models.language_model, Kind.LANGUAGE_MODEL))
    return [Check(f"model {name}", partial(_located, name, kind, verify=verify)) for name, kind in wanted]


def _located(name: str, kind: Kind, *, verify: bool) -> str:
    return str(locate(name, kind, verify=verify))


def certificate(tls: TlsSettings) -> str:
    """Raises UnwellError or SettingsError when the coordinator's certificate is no use, or soon will be."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(tls.certificate, tls.private_key)
        ends = load_pem_x509_certificate(tls.certificate.read_bytes()).not_valid_after_utc
    except (OSError, ssl.SSLError, ValueError) as error:
        raise SettingsError(
            f"The certificate {tls.certificate} or its key cannot be loaded: {error}.",
            "Give PEM files that belong together in [tls] of coordinator.toml.",
        ) from error
    return validity(str(tls.certificate), ends)


def validity(name: str, ends: datetime) -> str:
    """Raises UnwellError when a certificate has ended, or does so soon."""
    left = ends - datetime.now(UTC)
    if left < timedelta(0):
        raise UnwellError(f"The certificate {name} expired on {ends:%Y-%m-%d}.", _RENEW)
    if left < RENEW_BEFORE:
        raise UnwellError(f"The certificate {name} expires on {ends:%Y-%m-%d}.", _RENEW)
    return f"valid until {ends:%Y-%m-%d}"
