"""Nodes that vote for keywords, in one event loop: real sockets, real ledgers and indices, no models."""

import asyncio
import contextlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from frag.policy_settings import CollectionSettings, DpSettings
from frag.privacy.ledger import Ledger
from frag.privacy.patterns import PatternRedactor
from frag.types import Document
from retrievers.store import DocumentStore
from server.node.keyword_voting import KeywordDesk
from server.node.parts import Desks
from server.node.private_answering import PrivateAnswering
from server.node.process import NodeProcess
from server.sealed.desk import open_desk
from server.wire.messages import KeywordStage
from tests.doubles import HashingEmbedder
from tests.server.in_process import InProcessFederation, ScriptedAnswers, says

QUESTION = "Where does the porter keep the keys?"
WORDS = ["cellar", "mortimer", "door", "oak", "lantern", "garden"]
CLEAR: Mapping[str, Any] = {"epsilon": 900.0, "questions": 1, "min_evidence": 0.3, "keywords": True}
"""Noise of a tenth of a vote: what comes out can be told beforehand."""


class Dying(KeywordDesk):
    """Loses its connection for good when it is asked for a stage, or replies with noise."""

    stage = ""
    noise = b""
    task: asyncio.Task[None]

    async def carry_out(self, request: KeywordStage) -> bytes:
        if request.stage == self.stage and self.noise:
            return self.noise
        if request.stage == self.stage:
            self.task.cancel()
            await asyncio.Event().wait()
        return await super().carry_out(request)


class Silos:
    """Nodes of one federation, each with twelve documents on the cellar, and one on the garden."""

    def __init__(self, federation: InProcessFederation, stack: contextlib.AsyncExitStack) -> None:
        self.federation = federation
        self.stack = stack
        self.desks: dict[str, Dying] = {}

    def ledger(self, node_id: str) -> Path:
        return self.federation.folder / node_id / "ledger.db"

    async def join(self, *node_ids: str, pinned: bool = False, num_documents: int = 12, **settings: Any) -> None:
        folders = {node_id: await self.federation.enroll(node_id) for node_id in node_ids}
        peers = {node_id: folder.peer(folder.settings()) for node_id, folder in folders.items()}
        roster = {node_id: peer.key.public_key().public_bytes_raw() for node_id, peer in peers.items()}
        for node_id, peer in peers.items():
            budget = DpSettings(**{**CLEAR, **settings})
            desk = Dying(
                node_id=node_id,
                identity=peer.key,
                settings=budget,
                units=self._units(node_id, budget, num_documents),
                admit=lambda: "",
                pinned=roster if pinned else None,
            )
            self.desks[node_id] = desk
            voting = desk if budget.keywords else None
            answers = ScriptedAnswers(says("x"))
            seals = open_desk(folders[node_id], folders[node_id].settings(), peer, answers, voting)
            self.stack.callback(seals.replays.close)
            running = NodeProcess(peer, Desks(answers=answers, keywords=voting, seals=seals))
            desk.task = self.federation.tasks[node_id] = asyncio.create_task(running.run())
            await self.federation.until(
                lambda node_id=node_id: self.federation.state.registry.link(node_id) is not None
            )  # type: ignore[misc]

    def _units(self, node_id: str, budget: DpSettings, num_documents: int) -> PrivateAnswering:
        embedder = HashingEmbedder()
        store = self.stack.enter_context(DocumentStore.open(self.federation.folder / node_id / "index", embedder))
        text = "The porter does keep the keys in Mortimer's cellars, number {}."
        documents = [Document(document_id=f"{n}.txt", text=text.format(n)) for n in range(num_documents)]
        if num_documents:
            garden = "The porter does keep the keys in the garden."
            documents.append(Document(document_id="garden.txt", text=garden))
        store.ingest(documents, remove_missing=True)
        ledger = Ledger.open(self.ledger(node_id))
        self.stack.callback(ledger.close)
        return PrivateAnswering(
            node_id=node_id,
            settings=budget,
            collections=[CollectionSettings(name="notes", folder=self.federation.folder)],
            stores={"notes": store},
            embedder=embedder,
            worker=None,
            redactor=PatternRedactor(()),
            ledger=ledger,
            workers=self.stack.enter_context(ThreadPoolExecutor(1)),
        )
