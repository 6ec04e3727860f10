"""The node's connection: dial, prove, answer, and dial again whenever it ends."""

import asyncio
import contextlib
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Literal

import aiohttp
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import frag
from frag.errors import FragError, ProtocolError
from server.node.client_channel import ClientChannel
from server.node.offer import Offer
from server.node.parts import Desks
from server.node.reception import Reception, Request
from server.telemetry.node import NodeWatch
from server.wire import identity
from server.wire.codec import decode_to_node, encode
from server.wire.handshake import prove_node
from server.wire.messages import (
    MAX_FRAME_BYTES,
    Cancel,
    Message,
    Ready,
)

_log = structlog.get_logger()
_FIRST_BACKOFF_S = 0.2
_MAX_BACKOFF_S = 5.0
_STEADY_S = 10.0
_LOOK_S = 2.0

OnState = Callable[[Literal["connected", "disconnected"]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who this node is and which coordinator it trusts."""

    node_id: str
    key: Ed25519PrivateKey = field(repr=False)
    coordinator_key: bytes
    url: str
    tls: ssl.SSLContext | None = None


class NodeProcess:
    """Keeps one connection alive and lets `desks` answer what arrives on it.

    `on_state` is told as the connection comes and goes.
    """

    def __init__(
        self,
        peer: Peer,
        desks: Desks,
        on_state: OnState = lambda _state: None,
        *,
        watch: NodeWatch | None = None,
    ) -> None:
        self._watch = watch or NodeWatch()
        self._peer = peer
        self._desks = desks
        self._reception = Reception(desks, self._watch)
        self._on_state = on_state
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._offered = Offer()

    async def run(self) -> None:
        """Serves until cancelled; every failure of the connection leads to a new one, with backoff and jitter."""
        backoff_s = _FIRST_BACKOFF_S
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                started = time.monotonic()
                try:
                    await self._connect_once(session)
                except (aiohttp.ClientError, FragError, OSError, TimeoutError) as error:
                    _log.warning("connection_failed", reason=str(error) or type(error).__name__)
                if time.monotonic() - started > _STEADY_S:
                    backoff_s = _FIRST_BACKOFF_S
                await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter is no secret
                backoff_s = min(_MAX_BACKOFF_S, backoff_s * 2)

    async def _connect_once(self, session: aiohttp.ClientSession) -> None:
        async with self._dial(session) as socket:
            await self._introduce(socket)
            _log.info("connected", coordinator=self._peer.url)
            self._on_state("connected")
            self._watch.on_state(connected=True)
            try:
                await self._serve(socket)
            finally:
                self._on_state("disconnected")
                self._watch.on_state(connected=False)
                _log.info("disconnected")

    @contextlib.asynccontextmanager
    async def _dial(self, session: aiohttp.ClientSession) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        async with session.ws_connect(
            f"{self._peer.url}/v1/connect",
            max_msg_size=MAX_FRAME_BYTES,
            heartbeat=15.0,
            compress=0,
            ssl=self._peer.tls or True,
            timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
        ) as socket:
            yield socket

    async def _introduce(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        tls = socket.get_extra_info("ssl_object")
        spki = identity.spki_of_der(tls.getpeercert(binary_form=True)) if tls else identity.NO_TLS_SPKI
        await prove_node(ClientChannel(socket), self._peer.node_id, self._peer.key, self._peer.coordinator_key, spki)
        self._offered = await asyncio.to_thread(Offer.of, self._desks)
        await socket.send_bytes(encode(await self._ready()))

    async def _ready(self) -> Ready:
        modes, fingerprint, num_documents = await asyncio.to_thread(self._desks.answers.describe)
        return Ready(
            version=frag.__version__,
            answer_modes=modes,
            embedder_fingerprint=fingerprint,
            num_documents=num_documents,
            datasets=self._offered.datasets,
            sealing_key=self._offered.sealing_key,
            profile=self._offered.profile,
            prompt_version=self._offered.prompt_version,
            keywords=self._desks.keywords.terms if self._desks.keywords else None,
            withholds=self._offered.withholds,
            personal_gain=self._offered.personal_gain,
            dataset_sizes=dict(self._offered.dataset_sizes),
            drift=self._offered.drift,
        )

    async def _announce(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Tells the coordinator of what changes while the node runs."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._desks.profiles:
                await asyncio.to_thread(self._desks.profiles.publish_if_due)
            offered = await asyncio.to_thread(Offer.of, self._desks)
            if offered != self._offered:
                self._offered = offered
                with contextlib.suppress(ConnectionError, RuntimeError):
                    await socket.send_bytes(encode(await self._ready()))

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                announcing = tasks.create_task(self._announce(socket))
                async for frame in socket:
                    if frame.type is aiohttp.WSMsgType.BINARY:
                        self._receive(frame.data, socket, tasks)
                announcing.cancel()
                for task in self._under_way.values():
                    task.cancel()
        except ExceptionGroup as group:
            raise group.exceptions[0] from group

    def _receive(self, data: bytes, socket: aiohttp.ClientWebSocketResponse, tasks: asyncio.TaskGroup) -> None:
        self._watch.on_bytes("received", len(data))
        message = decode_to_node(data)
        if isinstance(message, Cancel):
            if task := self._under_way.get(message.request_id):
                task.cancel()
        elif isinstance(message, Request):
            task = tasks.create_task(self._serve_request(message, socket))
            self._under_way[message.request_id] = task
            task.add_done_callback(lambda _task: self._under_way.pop(message.request_id, None))
        else:
            raise ProtocolError(f"The coordinator sent a {type(message).__name__} after the handshake.")

    async def _serve_request(self, request: Request, socket: aiohttp.ClientWebSocketResponse) -> None:
        async def send(message: Message) -> None:
            frame = encode(message)
            with contextlib.suppress(ConnectionError, RuntimeError):
                await socket.send_bytes(frame)
                self._watch.on_bytes("sent", len(frame))

        await send(await self._reception.carry_out(request, send))
