"""Counts what crosses between nodes and coordinator: a loopback relay that nodes dial instead."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass(slots=True)
class WireMeter:
    """Bytes both ways, WebSocket framing included."""

    port: int = 0
    num_bytes: int = 0


@contextlib.asynccontextmanager
async def wire_meter(target_port: int) -> AsyncIterator[WireMeter]:
    """Relays a port of its own to `target_port` on the loopback while the context lasts."""
    meter = WireMeter()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target_port)
            await asyncio.gather(_pump(reader, far_writer, meter), _pump(far_reader, writer, meter))
        writer.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    meter.port = server.sockets[0].getsockname()[1]
    try:
        yield meter
    finally:
        server.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, meter: WireMeter) -> None:
    try:
        while piece := await reader.read(1 << 16):
            meter.num_bytes += len(piece)
            writer.write(piece)
            await writer.drain()
    finally:
        writer.close()
