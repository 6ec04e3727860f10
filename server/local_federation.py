"""A real federation on this machine: a coordinator and nodes as processes of their own, over loopback.

The demo, evaluations, benchmarks and end-to-end tests all stand on it, so what they show is the shipped service.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

import aiohttp
import tomli_w

from frag.durable import write_atomic
from frag.errors import UnreachableError
from server.coordinator.auth import hash_api_key, new_api_key
from server.coordinator.database import open_database
from server.coordinator.enrollment import Enrollment
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.links import Registry
from server.node.enroll import enroll
from server.node.state import NodeFolder
from server.wire.token import parse_token

START_S = 120.0
Holds = Callable[[dict[str, Any]], bool]
"""A condition on the JSON body of a GET."""
_NULL_NODE = "server.benchmark.null_node"


class Running(Protocol):
    """A process of the federation, as `subprocess.Popen` has it."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | Any: ...  # noqa: ANN401 - None while it runs

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


def launch(module: Sequence[str], log: IO[bytes], environment: Mapping[str, str]) -> Running:
    """Starts `python -m module…` in a session of its own, with all it says in `log`."""
    return subprocess.Popen(
        [sys.executable, "-m", *module],
        stdout=log,
        stderr=log,
        stdin=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )


@dataclass(slots=True)
class LocalFederation:
    """Use as an async context manager: `async with LocalFederation(folder) as federation: …`.

    Every process gets its log file in `folder / "logs"`. Leaving the context ends all of them.
    """

    folder: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    port: int = 0
    api_key: str = field(default="", repr=False)
    processes: dict[str, Running] = field(default_factory=dict)
    _logs: list[IO[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def coordinator(self) -> CoordinatorFolder:
        return CoordinatorFolder(self.folder / "coordinator")

    def node(self, node_id: str) -> NodeFolder:
        """The folder of one node."""
        return NodeFolder(self.folder / "nodes" / node_id)

    async def __aenter__(self) -> Self:
        self.port = self.port or free_port()
        self.coordinator.create("127.0.0.1", self.port)
        settings = {"host": "127.0.0.1", "port": self.port, **self.settings}
        write_atomic(self.coordinator.settings_file, tomli_w.dumps(settings).encode())
        self.api_key = new_api_key()
        async with open_database(self.coordinator.database_url(self.coordinator.settings())) as database:
            await database.add_key("admin", hash_api_key(self.api_key), frozenset({"admin"}))
        try:
            self.start_coordinator()
            await self.wait_until(lambda body: body["status"] == "ok", "/healthz")
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def start_coordinator(self) -> None:
        """Starts the coordinator's process; also after it was killed."""
        self._start("coordinator", ["server.cli", "coordinator", "run", "--folder", str(self.coordinator.folder)])

    async def add_node(self, node_id: str, settings: Mapping[str, Any]) -> None:
        """Enrolls a node with these `node.toml` settings (beyond identity) and does not start it yet."""
        async with open_database(self.coordinator.database_url(self.coordinator.settings())) as database:
            enrollment = Enrollment(database, Registry(), self.coordinator.key(), frozenset())
            made = await enrollment.make_token(node_id, self.url)
        folder = self.node(node_id)
        folder.folder.mkdir(parents=True)
        content = {"node_id": node_id, "coordinator_url": self.url, **settings}
        write_atomic(folder.settings_file, tomli_w.dumps(content).encode())
        await enroll(folder, parse_token(made["token"]), None)

    def start_node(self, node_id: str) -> None:
        """Starts an enrolled node's process; also after it was killed."""
        self._start(node_id, ["server.cli", "node", "run", "--folder", str(self.node(node_id).folder)])

    def start_null_node(self, node_id: str, payload_bytes: int) -> None:
        """Starts a node whose answers are `payload_bytes` of filler: the price of the fan-out alone."""
        self._start(node_id, [_NULL_NODE, str(self.node(node_id).folder), str(payload_bytes)])

    def _start(self, name: str, module: Sequence[str]) -> None:
        logs = self.folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        log = (logs / f"{name}.log").open("ab")
        self._logs.append(log)
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        self.processes[name] = launch(module, log, environment)

    async def wait_for_nodes(self, node_ids: Sequence[str], within_s: float = START_S) -> None:
        """Returns when all are connected. Raises UnreachableError naming the log of what failed."""
        wanted = set(node_ids)
        await self.wait_until(
            lambda body: wanted <= {n["node"] for n in body["nodes"] if n["connected"]}, "/v1/nodes", within_s
        )

    async def wait_until(self, holds: Holds, path: str, within_s: float = START_S) -> None:
        """Polls `path` until `holds(body)`. Raises UnreachableError when a process ended or time is up."""
        headers = {"Authorization": f"Bearer {self.api_key}"}
        try:
            async with asyncio.timeout(within_s), aiohttp.ClientSession(self.url, headers=headers) as session:
                while not await _holds(session, path, holds):
                    self._check_alive()
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise UnreachableError(
                f"The local federation was not ready within {within_s:.0f} s.", f"See {self.folder / 'logs'}."
            ) from error

    def _check_alive(self) -> None:
        for name, process in self.processes.items():
            if process.poll() not in (None, -signal.SIGKILL):
                tail = (self.folder / "logs" / f"{name}.log").read_text(errors="replace")[-400:]
                raise UnreachableError(f"{name} ended with code {process.returncode}: {tail}")

    def kill(self, name: str) -> None:
        """SIGKILL, as a power cut would."""
        self.processes[name].kill()
        self.processes[name].wait()

    async def restart_node(self, node_id: str) -> None:
        """Kills it, and returns when it is connected anew: not by the connection that the kill has left behind."""
        self.kill(node_id)
        await self.wait_until(
            lambda body: not any(n["connected"] for n in body["nodes"] if n["node"] == node_id), "/v1/nodes"
        )
        self.start_node(node_id)
        await self.wait_for_nodes([node_id])

    def detach(self) -> list[int]:
        """Lets the processes outlive this context; returns their ids."""
        process_ids = [process.pid for process in self.processes.values()]
        self.processes.clear()
        return process_ids

    async def stop(self) -> None:
        """Ends all processes: SIGTERM, then SIGKILL after ten seconds."""
        for process in self.processes.values():
            process.terminate()
        await asyncio.to_thread(self._reap)
        for log in self._logs:
            log.close()

    def _reap(self) -> None:
        for process in self.processes.values():
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    async def ask(self, session: aiohttp.ClientSession, **body: Any) -> dict[str, Any]:  # noqa: ANN401
        """`POST /v1/query`. Returns the response or problem document, with its HTTP status as `http_status`."""
        headers = {"Authorization": f"Bearer {self.api_key}"}
        async with session.post(f"{self.url}/v1/query", json=body, headers=headers) as answer:
            decoded: dict[str, Any] = await answer.json(content_type=None)
            return decoded | {"http_status": answer.status}


async def _holds(session: aiohttp.ClientSession, path: str, holds: Holds) -> bool:
    try:
        async with session.get(path) as answer:
            return bool(holds(await answer.json(content_type=None)))
    except (aiohttp.ClientError, OSError):
        return False


def free_port() -> int:
    """A TCP port of the loopback that nobody holds now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
