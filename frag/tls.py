"""How the certificate of a coordinator is checked."""

import ssl
from pathlib import Path
from urllib.parse import urlsplit

from frag.errors import SettingsError
from frag.listening import LOOPBACK_HOSTS


def tls_context(url: str, ca_file: Path | None) -> ssl.SSLContext | None:
    """TLS 1.3 against `ca_file`, or the system's authorities; None for plain HTTP, which is for loopback only.

    Raises:
        SettingsError: Plain HTTP to another machine, or a CA file that cannot be read.
    """
    parts = urlsplit(url)
    if parts.scheme == "http":
        if parts.hostname not in LOOPBACK_HOSTS:
            raise SettingsError(f"{url} is plain HTTP to another machine.", "Use https:// there.")
        return None
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"tls_ca {ca_file} cannot be read.", "Give a PEM file.") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context
