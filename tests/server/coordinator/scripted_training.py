"""Nodes that bring scripted updates to a real coordinator in this process."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from safetensors.numpy import load, save

from frag.updates import Weights
from prompt_tuning.strategies import ServerState
from server.coordinator.training import runner as runner_module
from server.coordinator.training.start import JobStart, StartInfo
from server.node.parts import Desks
from server.node.process import NodeProcess
from server.wire.messages import Progress, Promote, Train, Trained
from tests.server.in_process import InProcessFederation, ScriptedAnswers, in_process, says

START = {"w": np.zeros((2, 3), np.float32)}
JOB: Mapping[str, Any] = {
    "name": "small",
    "dataset": "qa",
    "method": {"kind": "prompt"},
    "rounds": {"number": 2, "min_replies": 2, "deadline_s": 3, "rejoin_s": 1},
    "update": {"max_norm": 10.0, "max_examples": 1000},
    "evaluation": {"every": 0},
}
Forge = Callable[[Weights], bytes]


def honest(value: float) -> Forge:
    return lambda like: save({name: np.full_like(array, value) for name, array in like.items()})


class ScriptedTrainer:
    """Brings what `forge` makes of the weights, and claims `num_examples`."""

    def __init__(
        self, url: str, forge: Forge, num_examples: int = 10, before: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self.url, self.forge, self.num_examples, self.before = url, forge, num_examples, before
        self.seen: list[Train] = []
        self.promoted: list[str] = []
        self.version = ""
        self.sizes: dict[str, int] = {}

    def dataset_names(self) -> tuple[str, ...]:
        return ("qa",)

    def dataset_sizes(self) -> dict[str, int]:
        return self.sizes

    async def train(self, request: Train, on_progress: Callable[[Progress], None]) -> Trained:
        self.seen.append(request)
        if self.before is not None:
            await self.before()
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{self.url}/v1/training/{request.ticket}") as answer:
                content = await answer.read()
            assert hashlib.sha256(content).hexdigest() == request.weights_sha256
            body = self.forge(load(content))
            async with session.put(f"{self.url}/v1/training/{request.ticket}", data=body) as answer:
                status = answer.status
        on_progress(Progress(request_id=request.request_id, step=1, num_steps=1, loss=0.5))
        return Trained(
            request_id=request.request_id,
            num_examples=self.num_examples,
            metrics={"loss": 1.0, "status": float(status)} | self.measures(load(content)),
        )

    def measures(self, _weights: Weights) -> dict[str, float]:
        """What it finds on its held-out examples."""
        return {}

    async def promote(self, request: Promote) -> None:
        self.promoted.append(request.version)
        self.version = request.version


@pytest.fixture
async def federation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[InProcessFederation]:
    async def make_start(*_: object) -> JobStart:
        info = StartInfo(base_model="0" * 64, layout="1" * 64, embedder="")
        return JobStart(info=info, weights=save(START))

    monkeypatch.setattr(runner_module, "make_start", make_start)
    async with in_process(tmp_path) as running:
        yield running


async def join(federation: InProcessFederation, node_id: str, trainer: ScriptedTrainer) -> None:
    folder = await federation.enroll(node_id)
    process = NodeProcess(
        folder.peer(folder.settings()), Desks(answers=ScriptedAnswers(says("yes")), trains=trainer, prompts=trainer)
    )
    federation.tasks[node_id] = asyncio.create_task(process.run())
    await federation.until(lambda: federation.state.registry.link(node_id) is not None)


async def run(federation: InProcessFederation, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    status, created = await federation.post("/v1/jobs", {**JOB, **(changes or {})})
    assert status == 201, created
    async with asyncio.timeout(20):
        while True:
            _, job = await federation.get(f"/v1/jobs/{created['job_id']}")
            if job["state"] in {"done", "failed", "cancelled"}:
                return job
            await asyncio.sleep(0.02)


async def weights_of(federation: InProcessFederation, job: Mapping[str, Any]) -> Weights:
    records = await federation.state.jobs._records.rounds(job["job_id"])
    return ServerState.from_bytes(federation.state.versions._blobs.get(records[-1].state_sha256)).weights
