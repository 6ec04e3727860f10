"""The floor of a fan-out: bare HTTP servers without identity, keys or policy, and a client that gathers.

Run as `python -m server.benchmark.floor PAYLOAD_BYTES`: prints the port it bound, and ends when its standard input
closes, so that no server outlives the benchmark, however that ends.
"""

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

STARTING_AT_ONCE = os.cpu_count() or 1


class FloorFleet:
    """`num_servers` server processes; `ask` fetches from all of them at once. An async context manager."""

    def __init__(self, num_servers: int, payload_bytes: int) -> None:
        self._num_servers = num_servers
        self._payload_bytes = payload_bytes
        self._urls: list[str] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            connector = aiohttp.TCPConnector(limit=0)
            self._session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            limit = asyncio.Semaphore(STARTING_AT_ONCE)
            async with asyncio.TaskGroup() as tasks:
                starting = [tasks.create_task(self._start(stack, limit)) for _ in range(self._num_servers)]
            self._urls = [task.result() for task in starting]
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _start(self, stack: AsyncExitStack, limit: asyncio.Semaphore) -> str:
        async with limit:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", __spec__.name, str(self._payload_bytes)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
            stack.push_async_callback(_end, process)
            if process.stdout is None:
                raise RuntimeError("the server's standard output is a pipe")
            return f"http://127.0.0.1:{int(await process.stdout.readline())}/"

    async def ask(self) -> int:
        """One fan-out. Returns the number of bytes that all servers together replied."""
        return sum(await asyncio.gather(*map(self._fetch, self._urls)))

    async def _fetch(self, url: str) -> int:
        async with self._session.get(url) as answer:
            return len(await answer.read())


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    await process.wait()


async def _serve(payload_bytes: int) -> None:
    payload = b"x" * payload_bytes

    async def reply(_request: web.Request) -> web.Response:
        return web.Response(body=payload)

    app = web.Application()
    app.router.add_get("/", reply)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.buffer.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
