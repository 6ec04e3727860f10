"""What can be asked over the network: does the coordinator answer, does it know this node, do the clocks agree."""

import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import aiohttp
from cryptography.x509 import load_der_x509_certificate

from frag.errors import UnreachableError
from server.doctor.files import validity
from server.doctor.finding import UnwellError
from server.node.client_channel import ClientChannel
from server.node.process import Peer
from server.wire import identity
from server.wire.handshake import prove_node

MAX_CLOCK_ERROR_S = 60.0
_TIMEOUT = aiohttp.ClientTimeout(total=10)


_GLANCE = aiohttp.ClientTimeout(total=2)


async def is_frag(url: str) -> bool:
    """Whether a coordinator answers at `url`, whatever its certificate."""
    try:
        async with (
            aiohttp.ClientSession(timeout=_GLANCE) as session,
            session.get(f"{url}/healthz", ssl=False) as answer,
        ):
            body = await answer.json()
            return isinstance(body, dict) and body.get("status") == "ok"
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return False


async def coordinator_answers(peer: Peer) -> str:
    """Raises UnreachableError."""
    return f"{peer.url}: version {(await _health(peer))[0]}"


async def clock(peer: Peer) -> str:
    """Raises UnwellError when this clock and the coordinator's differ by more than MAX_CLOCK_ERROR_S."""
    _version, date = await _health(peer)
    if date is None:
        return "the coordinator tells no time"
    off_s = (datetime.now(UTC) - date).total_seconds()
    if abs(off_s) > MAX_CLOCK_ERROR_S:
        raise UnwellError(
            f"This clock is {abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} the coordinator's.",
            "Synchronise both machines with NTP (`timedatectl set-ntp true`); sealed questions expire by the clock.",
        )
    return f"within {abs(off_s) + 1:.0f} s"


async def _health(peer: Peer) -> tuple[str, datetime | None]:
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.get(f"{peer.url}/healthz", ssl=peer.tls or True) as answer,
        ):
            body = await answer.json()
            date = answer.headers.get("Date")
            version = str(body["version"])
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError, TypeError) as error:
        raise _unreachable(peer.url, error) from error
    return version, parsedate_to_datetime(date) if date else None


async def known_here(peer: Peer) -> str:
    """Shakes hands and leaves again; a running node stays connected. Raises AuthenticationError or UnreachableError."""
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.ws_connect(f"{peer.url}/v1/connect", ssl=peer.tls or True) as socket,
        ):
            tls = socket.get_extra_info("ssl_object")
            spki = identity.spki_of_der(tls.getpeercert(binary_form=True)) if tls else identity.NO_TLS_SPKI
            await prove_node(ClientChannel(socket), peer.node_id, peer.key, peer.coordinator_key, spki)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise _unreachable(peer.url, error) from error
    return f"{peer.node_id} is enrolled"


async def served_certificate(peer: Peer) -> str:
    """Raises UnwellError when the coordinator's certificate ends soon, UnreachableError when it is not trusted."""
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.get(f"{peer.url}/healthz", ssl=peer.tls or True) as answer,
        ):
            transport = answer.connection.transport if answer.connection else None
            tls = transport.get_extra_info("ssl_object") if transport else None
            shown = tls.getpeercert(binary_form=True) if tls else None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise _unreachable(peer.url, error) from error
    if shown is None:
        return "not seen"
    return validity(str(urlsplit(peer.url).hostname), load_der_x509_certificate(shown).not_valid_after_utc)


def _unreachable(url: str, error: BaseException) -> UnreachableError:
    cause = getattr(error, "certificate_error", error)
    if isinstance(cause, ssl.SSLError):
        return UnreachableError(f"The certificate of {url} is not trusted: {cause}.", "Set tls_ca in node.toml.")
    return UnreachableError(
        f"No coordinator answers at {url}: {type(error).__name__}.",
        "Check that it runs (`frag coordinator run`), coordinator_url in node.toml, and the firewall.",
    )
