"""One node's connection, from upgrade to end: handshake, Ready, then questions and replies."""

import asyncio

import structlog
from aiohttp import WSMsgType, web

from frag.errors import AuthenticationError, FragError, ProtocolError
from server.coordinator.links import WebSocketLink
from server.coordinator.state import CoordinatorState
from server.wire.codec import decode_to_coordinator
from server.wire.handshake import LIMIT_S, accept_node
from server.wire.messages import MAX_FRAME_BYTES, Ready

_log = structlog.get_logger()


class ServerChannel:
    """The handshake's view of a server-side WebSocket."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def send_bytes(self, frame: bytes) -> None:
        await self._socket.send_bytes(frame)

    async def receive_bytes(self) -> bytes:
        """Raises ProtocolError when the connection ends or a frame is not binary."""
        frame = await self._socket.receive()
        if frame.type is not WSMsgType.BINARY:
            raise ProtocolError("The connection ended, or sent text, where a binary frame was due.")
        data: bytes = frame.data
        return data


async def serve_node(request: web.Request, state: CoordinatorState) -> web.WebSocketResponse:
    """Never raises on a peer's fault: the connection is closed with code 1002 or 1008 and the reason is logged."""
    socket = web.WebSocketResponse(
        max_msg_size=MAX_FRAME_BYTES, heartbeat=state.settings.heartbeat_s, compress=False, timeout=2.0
    )
    await socket.prepare(request)
    try:
        link = await _introduce(socket, state)
    except (AuthenticationError, ProtocolError, TimeoutError, ConnectionError) as error:
        _log.warning("node_refused", reason=str(error) or "handshake timed out", peer=request.remote)
        await socket.close(code=1008)
        return socket
    await state.registry.attach(link)
    _log.info("node_connected", node=link.node_id)
    telling = asyncio.create_task(_tell_what_is_live(link, state))
    try:
        await link.serve()
    except ProtocolError as error:
        _log.warning("node_broke_protocol", node=link.node_id, reason=str(error))
        await socket.close(code=1002)
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        state.registry.detach(link)
        _log.info("node_disconnected", node=link.node_id)
    return socket


async def _tell_what_is_live(link: WebSocketLink, state: CoordinatorState) -> None:
    """A node that was away gets the version that was promoted meanwhile."""
    try:
        await state.versions.bring_up_to_date(link)
    except FragError as error:
        _log.warning("promotion_failed", node=link.node_id, reason=error.code)


async def _introduce(socket: web.WebSocketResponse, state: CoordinatorState) -> WebSocketLink:
    channel = ServerChannel(socket)
    node_id = await accept_node(channel, state.key, state.database.public_key, state.accepted_spki)
    async with asyncio.timeout(LIMIT_S):
        ready = decode_to_coordinator(await channel.receive_bytes())
    if not isinstance(ready, Ready):
        raise ProtocolError(f"Node {node_id} did not say what it offers.")
    return WebSocketLink(node_id, socket, ready, state.watch.on_bytes)
