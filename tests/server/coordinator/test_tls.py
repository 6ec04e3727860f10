"""Over TLS the handshake is bound to the certificate's key, and a stranger's certificate is refused."""

import datetime as dt
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import tomli_w
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from frag.errors import AuthenticationError, SettingsError, UnreachableError
from frag.tls import tls_context
from server.coordinator.app import make_app
from server.coordinator.folder import CoordinatorFolder, server_tls
from server.coordinator.state import STATE, CoordinatorState
from server.node.client_channel import ClientChannel
from server.node.enroll import enroll
from server.node.state import NodeFolder
from server.wire import identity
from server.wire.handshake import prove_node
from server.wire.token import parse_token


def write_certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    file.write_bytes(certificate.public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.with_suffix(".key").write_bytes(private)
    return file


@asynccontextmanager
async def over_tls(folder: Path, certificate: Path) -> AsyncIterator[tuple[str, CoordinatorState]]:
    place = CoordinatorFolder(folder / "coordinator")
    place.create("127.0.0.1", 0)
    tls = {"certificate": str(certificate), "private_key": str(certificate.with_suffix(".key"))}
    place.settings_file.write_text(tomli_w.dumps({"host": "127.0.0.1", "port": 0, "tls": tls}))
    app = make_app(place)
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=server_tls(place.settings()))
    try:
        yield str(server.make_url("")).rstrip("/"), app[STATE]
    finally:
        await server.close()


async def test_a_node_enrolls_and_connects_over_tls(tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path, "good")
    async with over_tls(tmp_path, certificate) as (url, state):
        made = await state.enrollment.make_token("a", url)
        folder = NodeFolder(tmp_path / "a")
        await enroll(folder, parse_token(made["token"]), certificate)
        peer = folder.peer(folder.settings())
        spki = identity.spki_of_pem_file(certificate)
        async with aiohttp.ClientSession() as session:
            for seen, refusal in ((spki, ""), (identity.NO_TLS_SPKI, "wrong_certificate")):
                async with session.ws_connect(f"{url}/v1/connect", ssl=peer.tls) as socket:
                    channel = ClientChannel(socket)
                    proving = prove_node(channel, "a", peer.key, peer.coordinator_key, seen)
                    if refusal:
                        with pytest.raises(AuthenticationError, match=refusal):
                            await proving
                    else:
                        await proving
    assert folder.settings().tls_ca == certificate


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    certificate, other = write_certificate(tmp_path, "good"), write_certificate(tmp_path, "other")
    async with over_tls(tmp_path, certificate) as (url, state):
        made = await state.enrollment.make_token("a", url)
        for authority in (other, None):
            with pytest.raises(UnreachableError, match="certificate"):
                await enroll(NodeFolder(tmp_path / "a"), parse_token(made["token"]), authority)


def test_plain_http_is_for_loopback_only(tmp_path: Path) -> None:
    assert tls_context("http://127.0.0.1:1", None) is None
    with pytest.raises(SettingsError, match="https"):
        tls_context("http://192.0.2.1:1", None)
    with pytest.raises(SettingsError, match="PEM"):
        tls_context("https://192.0.2.1:1", tmp_path / "absent.pem")


def test_a_certificate_that_does_not_load_is_said_so(tmp_path: Path) -> None:
    place = CoordinatorFolder(tmp_path / "coordinator")
    place.create("127.0.0.1", 0)
    place.settings_file.write_text('host = "0.0.0.0"\n[tls]\ncertificate = "no.pem"\nprivate_key = "no.key"\n')
    with pytest.raises(SettingsError, match="PEM"):
        server_tls(place.settings())
