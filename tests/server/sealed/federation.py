"""A coordinator and scripted nodes with sealing keys, all bytes at the coordinator's door recorded."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.roster import Roster, save_roster
from frag.types import AnswerMode, RetrievalMode
from server.node.parts import Desks
from server.node.process import NodeProcess
from server.node.state import NodeFolder
from server.sealed.asker import SealedPlan, ask_sealed
from server.sealed.channel import Coordinator
from server.sealed.desk import SealedDesk, open_desk
from server.sealed.trust import Trust
from server.wire import identity
from server.wire.messages import Ask
from tests.e2e.capture import Capture, capturing_relay
from tests.server.in_process import InProcessFederation, Script, ScriptedAnswers, in_process

QUESTION = "Which fridge holds the measles vaccine of the Hartmann twins?"


def make_ask(question: str = QUESTION, mode: AnswerMode = AnswerMode.SCRUB, *, retrieve_only: bool = False) -> Ask:
    return Ask(
        request_id=0,
        question=question,
        top_k=5,
        answer_mode=mode,
        retrieval=RetrievalMode.DENSE,
        retrieve_only=retrieve_only,
        deadline_s=5,
    )


@dataclass
class SealedFederation:
    inner: InProcessFederation
    capture: Capture
    key: Ed25519PrivateKey
    nodes: dict[str, NodeFolder] = field(default_factory=dict)
    desks: dict[str, SealedDesk] = field(default_factory=dict)
    answers: dict[str, ScriptedAnswers] = field(default_factory=dict)

    @property
    def coordinator(self) -> Coordinator:
        return Coordinator(url=f"http://127.0.0.1:{self.capture.port}", api_key=self.inner.api_key)

    async def join(self, node_id: str, script: Script, askers: tuple[str, ...] = ()) -> None:
        folder = await self.inner.enroll(node_id)
        content = folder.settings_file.read_text().replace(f":{self.inner.server.port}", f":{self.capture.port}")
        folder.settings_file.write_text(content)
        self.nodes[node_id] = folder
        self.answers[node_id] = ScriptedAnswers(script)
        await self.start(node_id, askers)

    async def start(self, node_id: str, askers: tuple[str, ...] = ()) -> None:
        folder = self.nodes[node_id]
        settings = folder.settings()
        settings = settings.model_copy(update={"policy": settings.policy.model_copy(update={"askers": askers})})
        peer = folder.peer(settings)
        desk = open_desk(folder, settings, peer, self.answers[node_id])
        self.desks[node_id] = desk
        process = NodeProcess(peer, Desks(answers=self.answers[node_id], seals=desk))
        self.inner.tasks[node_id] = asyncio.create_task(process.run())
        await self.inner.until(lambda: self.inner.state.registry.link(node_id) is not None)

    async def stop(self, node_id: str) -> None:
        await self.inner.leave(node_id)
        await self.inner.until(lambda: self.inner.state.registry.link(node_id) is None)
        self.desks.pop(node_id).replays.close()

    def trust(self, *, without: str = "") -> Trust:
        """What a roster of these nodes, signed by one operator, lets an asker believe."""
        operator = Ed25519PrivateKey.generate()
        public = identity.public_bytes(operator).hex()
        nodes = {
            name: identity.public_bytes(folder.peer(folder.settings()).key).hex()
            for name, folder in self.nodes.items()
            if name != without
        }
        roster = Roster(federation="test", nodes=nodes, operators={"ops": public}).signed("ops", operator)
        path = self.inner.folder / "roster.json"
        save_roster(roster, path)
        return Trust.load(path, (public,), trust_coordinator=False)

    async def ask(self, plan: SealedPlan | None = None, trust: Trust | None = None, ask: Ask | None = None) -> object:
        return await ask_sealed(
            self.coordinator, trust or self.trust(), self.key, ask or make_ask(), plan or SealedPlan()
        )


@contextlib.asynccontextmanager
async def sealed_federation(folder: Path) -> AsyncIterator[SealedFederation]:
    async with in_process(folder) as inner:
        assert inner.server.port
        async with capturing_relay(inner.server.port) as capture:
            federation = SealedFederation(inner, capture, Ed25519PrivateKey.generate())
            try:
                yield federation
            finally:
                for node_id in list(federation.desks):
                    await federation.stop(node_id)
