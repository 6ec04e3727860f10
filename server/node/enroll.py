"""Enrollment from the node's side: check the coordinator first, then show it the token."""

import asyncio
import hashlib
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import msgspec
import tomli_w

from frag.durable import write_atomic
from frag.errors import AuthenticationError, ConflictError, UnreachableError
from frag.tls import tls_context
from server.node.state import NodeFolder
from server.wire import identity
from server.wire.handshake import enrollment_transcript, identity_transcript
from server.wire.token import EnrollmentToken

_TIMEOUT = aiohttp.ClientTimeout(total=15)


async def enroll(folder: NodeFolder, token: EnrollmentToken, tls_ca: Path | None) -> None:
    """Makes the node's key, exchanges the token for a place on the list, and pins the coordinator's key.

    Raises:
        AuthenticationError: The coordinator's key is not the token's, or it refused the token.
        UnreachableError: Nobody answers at the token's URL.
        ConflictError: The folder belongs to a node of another name.
    """
    _check_same_node(folder, token)
    if not folder.identity_key.exists():
        identity.make_key(folder.identity_key)
    key = identity.load_key(folder.identity_key, "Remove the file and enroll again.")
    tls = tls_context(token.url, tls_ca)
    try:
        async with aiohttp.ClientSession(token.url, timeout=_TIMEOUT) as session:
            coordinator_key = await _check_identity(session, token, tls)
            public_key = identity.public_bytes(key)
            signed = enrollment_transcript(
                token.node_id,
                hashlib.sha256(token.secret).digest(),
                public_key,
                token.coordinator_fingerprint,
            )
            body = {
                "node_id": token.node_id,
                "token_secret": token.secret,
                "public_key": public_key,
                "signature": key.sign(signed),
            }
            await _post(session, "/v1/enroll", body, tls)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise UnreachableError(
            f"No coordinator can be reached at {token.url}: {error or type(error).__name__}.",
            "Check that it runs, the address, and for https the certificate (--tls-ca).",
        ) from error
    write_atomic(folder.coordinator_key, coordinator_key)
    if not folder.settings_file.exists():
        _write_settings(folder, token, tls_ca)


def _check_same_node(folder: NodeFolder, token: EnrollmentToken) -> None:
    if folder.settings_file.exists() and (name := folder.settings().node_id) != token.node_id:
        raise ConflictError(
            f"{folder.folder} belongs to node {name}, the token to {token.node_id}.",
            "Use another folder (--folder) or the right token.",
        )


async def _check_identity(session: aiohttp.ClientSession, token: EnrollmentToken, tls: ssl.SSLContext | None) -> bytes:
    nonce = identity.new_nonce()
    spki = await _spki_of(token.url, tls) if tls else identity.NO_TLS_SPKI
    proof = await _post(session, "/v1/identity", {"nonce": nonce, "spki_sha256": spki}, tls)
    decoded = msgspec.convert(proof, dict[str, bytes])
    public_key, signature = decoded["public_key"], decoded["signature"]
    genuine = identity.fingerprint(public_key) == token.coordinator_fingerprint
    if not genuine or not identity.verify(public_key, signature, identity_transcript(spki, nonce)):
        raise AuthenticationError(
            f"The coordinator at {token.url} is not the one that made this token.",
            "Check the address; ask its operator for a new token.",
        )
    return public_key


async def _spki_of(url: str, tls: ssl.SSLContext) -> bytes:
    parts = urlsplit(url)
    async with asyncio.timeout(10):
        _reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 443, ssl=tls)
    try:
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()
    return identity.spki_of_der(certificate)


async def _post(session: aiohttp.ClientSession, path: str, body: object, tls: ssl.SSLContext | None) -> object:
    async with session.post(
        path, data=msgspec.json.encode(body), headers={"Content-Type": "application/json"}, ssl=tls or True
    ) as answer:
        content = msgspec.json.decode(await answer.read())
        if answer.status >= 400:
            raise AuthenticationError(content["detail"], content.get("mend", ""))
        return content


def _write_settings(folder: NodeFolder, token: EnrollmentToken, tls_ca: Path | None) -> None:
    documents = folder.folder / "documents"
    documents.mkdir(parents=True, exist_ok=True)
    settings: dict[str, object] = {"node_id": token.node_id, "coordinator_url": token.url}
    if tls_ca is not None:
        settings["tls_ca"] = str(tls_ca.resolve())
    settings["policy"] = {"answer_modes": ["scrub"], "min_evidence": 0.35, "cite": "alias"}
    settings["collections"] = [{"name": "documents", "folder": "documents"}]
    write_atomic(folder.settings_file, tomli_w.dumps(settings).encode())
