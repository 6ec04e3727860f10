"""The connection as the handshake sees it."""

import aiohttp

from frag.errors import ProtocolError


class ClientChannel:
    """The handshake's view of a client-side WebSocket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send_bytes(self, frame: bytes) -> None:
        await self._socket.send_bytes(frame)

    async def receive_bytes(self) -> bytes:
        """Raises ProtocolError when the connection ends or a frame is not binary."""
        frame = await self._socket.receive()
        if frame.type is not aiohttp.WSMsgType.BINARY:
            raise ProtocolError("The coordinator ended the connection during the handshake.")
        data: bytes = frame.data
        return data
