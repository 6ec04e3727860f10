"""A coordinator and scripted nodes in one event loop, over real sockets: no models, no processes."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import tomli_w
from aiohttp.test_utils import TestServer

from frag.protocols import Aggregator
from frag.types import AnswerMode, NodeAnswer
from server.coordinator.app import make_app
from server.coordinator.auth import hash_api_key, new_api_key
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.state import STATE, CoordinatorState
from server.node.enroll import enroll
from server.node.parts import Desks
from server.node.process import NodeProcess
from server.node.state import NodeFolder
from server.wire.messages import Ask
from server.wire.token import parse_token

Script = Callable[[Ask], Awaitable[NodeAnswer]]


def says(text: str, score: float = 0.5, **fields: Any) -> Script:
    """A node that answers `text` at once."""

    async def script(ask: Ask) -> NodeAnswer:
        return NodeAnswer(node_id="set-by-link", mode=ask.answer_mode, text=text, score=score, **fields)

    return script


def withholds(reason: str) -> Script:
    async def script(ask: Ask) -> NodeAnswer:
        return NodeAnswer(node_id="", mode=ask.answer_mode, withheld=reason)

    return script


@dataclass
class ScriptedAnswers:
    script: Script
    cancelled: int = 0
    asked: list[Ask] = field(default_factory=list)

    def describe(self) -> tuple[tuple[AnswerMode, ...], str, int]:
        return tuple(AnswerMode), "scripted", 1

    async def answer(self, ask: Ask) -> NodeAnswer:
        self.asked.append(ask)
        try:
            return await self.script(ask)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


@dataclass
class InProcessFederation:
    """`async with in_process(tmp_path) as federation: await federation.join("a", says("yes"))`."""

    folder: Path
    server: TestServer
    state: CoordinatorState
    session: aiohttp.ClientSession
    api_key: str
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return str(self.server.make_url("")).rstrip("/")

    async def enroll(self, node_id: str) -> NodeFolder:
        made = await self.state.enrollment.make_token(node_id, self.url)
        folder = NodeFolder(self.folder / node_id)
        await enroll(folder, parse_token(made["token"]), None)
        return folder

    async def join(self, node_id: str, script: Script) -> ScriptedAnswers:
        """Enrolls and connects a node that follows `script`."""
        made = await self.state.enrollment.make_token(node_id, self.url)
        return await self.join_by(made["token"], node_id, script)

    async def join_by(self, token: str, node_id: str, script: Script) -> ScriptedAnswers:
        """The same with a token of one's own."""
        folder = NodeFolder(self.folder / node_id)
        await enroll(folder, parse_token(token), None)
        answers = ScriptedAnswers(script)
        self.connect(folder, answers)
        await self.until(lambda: self.state.registry.link(node_id) is not None)
        return answers

    def connect(self, folder: NodeFolder, answers: ScriptedAnswers) -> None:
        settings = folder.settings()
        process = NodeProcess(folder.peer(settings), Desks(answers=answers))
        self.tasks[settings.node_id] = asyncio.create_task(process.run())

    def synthesize_by(self, method: Aggregator) -> None:
        """Puts `method` in the place of `synthesize`, and has no model loaded for it."""
        self.state.query.aggregators["synthesize"] = method  # type: ignore[index]
        object.__setattr__(self.state.query, "expect_writer", lambda: None)

    async def leave(self, node_id: str) -> None:
        task = self.tasks.pop(node_id)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def until(self, holds: Callable[[], bool], within_s: float = 5.0) -> None:
        async with asyncio.timeout(within_s):
            while not holds():
                await asyncio.sleep(0.01)

    async def ask(self, **body: Any) -> tuple[int, dict[str, Any]]:
        return await self.post("/v1/query", body)

    async def post(self, path: str, body: object, key: str | None = None) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {key or self.api_key}"}
        data = {"data": io.BytesIO(body)} if isinstance(body, bytes) else {"json": body}
        async with self.session.post(self.url + path, headers=headers, **data) as answer:  # type: ignore[arg-type]
            return answer.status, await answer.json(content_type=None)

    async def get(self, path: str, key: str | None = None) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {key or self.api_key}"}
        async with self.session.get(self.url + path, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)


@contextlib.asynccontextmanager
async def in_process(folder: Path, settings: Mapping[str, Any] | None = None) -> AsyncIterator[InProcessFederation]:
    place = CoordinatorFolder(folder / "coordinator")
    place.create("127.0.0.1", 0)
    if settings:
        place.settings_file.write_text(tomli_w.dumps({"host": "127.0.0.1", "port": 0, **settings}))
    app = make_app(place)
    server = TestServer(app)
    await server.start_server()
    state = app[STATE]
    key = new_api_key()
    await state.database.add_key("tester", hash_api_key(key), frozenset({"admin"}))
    async with aiohttp.ClientSession() as session:
        federation = InProcessFederation(folder, server, state, session, key)
        try:
            yield federation
        finally:
            for node_id in list(federation.tasks):
                await federation.leave(node_id)
            await server.close()
