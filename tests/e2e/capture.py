"""A TCP relay that keeps every byte, and a reader that takes WebSocket frames out of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field


@dataclass
class Capture:
    """Everything that crossed, one buffer for each direction of each connection."""

    port: int = 0
    streams: list[bytearray] = field(default_factory=list)

    def record(self) -> bytearray:
        self.streams.append(bytearray())
        return self.streams[-1]

    def raw(self) -> bytes:
        """All bytes as they crossed (frames of nodes are masked in here)."""
        return b"".join(bytes(stream) for stream in self.streams)

    def payloads(self) -> list[bytes]:
        """Payload of every WebSocket frame, both ways, unmasked."""
        return [payload for stream in self.streams for payload in _frames(bytes(stream))]


@contextlib.asynccontextmanager
async def capturing_relay(target_port: int) -> AsyncIterator[Capture]:
    """Relays a loopback port of its own to `target_port`."""
    capture = Capture()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target_port)
            await asyncio.gather(
                _pump(reader, far_writer, capture.record()), _pump(far_reader, writer, capture.record())
            )
        writer.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    capture.port = server.sockets[0].getsockname()[1]
    async with server:
        yield capture


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, record: bytearray) -> None:
    try:
        while piece := await reader.read(65536):
            record += piece
            writer.write(piece)
            await writer.drain()
    finally:
        writer.close()


def _frames(stream: bytes) -> Iterator[bytes]:
    """Payloads of RFC 6455 frames after the HTTP upgrade. Frames are whole: no extension is negotiated."""
    start = stream.find(b"\r\n\r\n")
    if start < 0 or b"pgrade: websocket" not in stream[:start]:
        return
    at = start + 4
    while at + 2 <= len(stream):
        masked, size, at = stream[at + 1] & 0x80, stream[at + 1] & 0x7F, at + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(stream[at : at + width], "big"), at + width
        mask = b""
        if masked:
            mask, at = stream[at : at + 4], at + 4
        payload, at = stream[at : at + size], at + size
        yield bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload)) if mask else payload
