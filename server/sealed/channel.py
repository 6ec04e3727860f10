"""The asker's way to nodes through a relay: seal something to each, open what comes back; the relay reads neither."""

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from frag.errors import CoordinatorError, NoNodesError, ProtocolError, SealingError, UnreachableError
from frag.sealing import REQUEST_ID_BYTES, KeyCard, info_of, require_signature, seal, unseal
from server.sealed.contents import MAX_LIFETIME_S, Inquiry, Wanted, encode_inquiry
from server.sealed.relay import SealedRequest, SealedResponse
from server.sealed.trust import Trust, decode_nodes, usable_cards
from server.wire.messages import MAX_SEALED_REPLY_BYTES

_MARGIN_S = 10
_MAX_LIST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordinator:
    """Where the relay is, and the right to use it."""

    url: str
    api_key: str = field(repr=False)
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class _Sent:
    """One node's envelope, and what it takes to open its reply."""

    envelope: bytes = field(repr=False)
    identity: bytes
    reply_key: X25519PrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """Contents of the replies that open and are signed by the node, by node; a code for each other node."""

    sealed_id: bytes
    replies: dict[str, bytes] = field(repr=False)
    failed: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedChannel:
    """`cards` are the checked keys of the nodes that can be reached; `failed` has a code for each other one."""

    coordinator: Coordinator
    session: aiohttp.ClientSession = field(repr=False)
    key: Ed25519PrivateKey = field(repr=False)
    cards: Mapping[str, KeyCard]
    failed: Mapping[str, str]

    async def exchange(self, wanted: Mapping[str, Wanted], deadline_s: float) -> Exchanged:
        """Brings each node what is wanted of it.

        Raises:
            CoordinatorError: The coordinator refused, with its own reason.
            UnreachableError: Nobody answers there.
            ProtocolError: The relay's response does not fit.
        """
        sealed_id = os.urandom(REQUEST_ID_BYTES)
        sent = await asyncio.to_thread(self._seal_all, wanted, sealed_id, deadline_s)
        request = SealedRequest(
            sealed_id=sealed_id,
            envelopes={node: item.envelope for node, item in sent.items()},
            deadline_s=deadline_s,
        )
        limit = (1 << 20) + len(sent) * MAX_SEALED_REPLY_BYTES * 4 // 3
        data = msgspec.json.encode(request)
        body = await _call(self.session, self.coordinator, "POST", "/v1/sealed", limit, data)
        return await asyncio.to_thread(_open_all, body, sent, sealed_id)

    def _seal_all(self, wanted: Mapping[str, Wanted], sealed_id: bytes, deadline_s: float) -> dict[str, _Sent]:
        """A reply key of its own for each node, so that none can answer in another's name."""
        now = int(time.time())
        sent = {}
        for node_id, content in wanted.items():
            reply_key = X25519PrivateKey.generate()
            inquiry = Inquiry(
                asker=self.key.public_key().public_bytes_raw(),
                reply_key=reply_key.public_key().public_bytes_raw(),
                issued_at=now,
                expires_at=min(now + int(deadline_s) + 60, now + MAX_LIFETIME_S),
                wanted=content,
            )
            card = self.cards[node_id]
            info = info_of("ask", node_id, sealed_id)
            sent[node_id] = _Sent(
                seal(encode_inquiry(inquiry), self.key, card.public_key, info), card.identity, reply_key
            )
        return sent


@asynccontextmanager
async def open_channel(
    coordinator: Coordinator, trust: Trust, key: Ed25519PrivateKey, nodes: Sequence[str] | None
) -> AsyncIterator[SealedChannel]:
    """A channel to `nodes`, or to all that the trust allows.

    Raises:
        NoNodesError: No node has a sealing key that can be trusted.
        CoordinatorError, UnreachableError, ProtocolError: As `exchange` says.
    """
    async with _session(coordinator) as session:
        view = decode_nodes(await _call(session, coordinator, "GET", "/v1/nodes", _MAX_LIST_BYTES))
        cards, failed = usable_cards(view, trust, nodes)
        if not cards:
            raise NoNodesError(
                "No node has a sealing key that this asker may trust.",
                "Compare the roster with the nodes; see `failed`.",
                failed=failed,
            )
        yield SealedChannel(coordinator=coordinator, session=session, key=key, cards=cards, failed=failed)


def _open_all(body: bytes, sent: Mapping[str, _Sent], sealed_id: bytes) -> Exchanged:
    try:
        relayed = msgspec.json.decode(body, type=SealedResponse)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError("The relay's response does not fit.", "Install the same frag on all sides.") from error
    exchanged = Exchanged(sealed_id=sealed_id, replies={}, failed={})
    for node_id, item in sent.items():
        envelope = relayed.replies.get(node_id)
        if envelope is None:
            exchanged.failed[node_id] = relayed.failed.get(node_id, "bad_reply")[:64]
            continue
        try:
            exchanged.replies[node_id] = _open(node_id, envelope, item, sealed_id)
        except SealingError:
            exchanged.failed[node_id] = "bad_reply"
    return exchanged


def _open(node_id: str, envelope: bytes, item: _Sent, sealed_id: bytes) -> bytes:
    info = info_of("reply", node_id, sealed_id)
    opened = unseal(envelope, item.reply_key, info)
    require_signature(opened, item.identity, item.reply_key.public_key().public_bytes_raw(), info)
    return opened.content


def _session(coordinator: Coordinator) -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=MAX_LIFETIME_S + _MARGIN_S, sock_connect=10)
    headers = {"Authorization": f"Bearer {coordinator.api_key}"} if coordinator.api_key else {}
    return aiohttp.ClientSession(coordinator.url, timeout=timeout, headers=headers)


async def _call(
    session: aiohttp.ClientSession, coordinator: Coordinator, method: str, path: str, limit: int, data: bytes = b""
) -> bytes:
    """The body of a response, bounded: the relay is not trusted with the asker's memory."""
    try:
        async with session.request(method, path, data=data or None, ssl=coordinator.tls or True) as answer:
            body = bytearray()
            async for piece in answer.content.iter_any():
                body += piece
                if len(body) > limit:
                    raise ProtocolError(f"The coordinator sent more than {limit} bytes.")
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise UnreachableError(
            f"No coordinator answers: {error or type(error).__name__}.", "Check that it runs and the address (--url)."
        ) from error
    if answer.status >= 400:
        raise CoordinatorError(_problem(bytes(body), answer.status))
    return bytes(body)


def _problem(body: bytes, status: int) -> dict[str, object]:
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {"status": status, "detail": f"The coordinator answered with HTTP {status}."}
