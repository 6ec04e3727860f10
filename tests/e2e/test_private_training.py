"""Record-level privacy over real processes: paid once at every node, one of which is killed; nothing is measured."""

import asyncio
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frag.privacy.accounting import plan_epsilon
from frag.privacy.ledger import Ledger
from prompt_tuning.adaptation_file import load_adaptation
from server.local_federation import LocalFederation
from tests.e2e.trainers import JOB, NODES, call, ended

PRIVATE: Mapping[str, Any] = {
    **JOB,
    "rounds": {"number": 3, "min_replies": 3, "deadline_s": 60, "attempts": 50},
    "evaluation": {"every": 0},
    "privacy": {"mode": "record", "noise_multiplier": 3.0, "units": 16, "max_epsilon": 4.0},
}
EPSILON = plan_epsilon(3.0, 4 / 16, 9)


def spent(federation: LocalFederation) -> list[float]:
    found = []
    for node_id in NODES:
        with closing(Ledger.open(federation.node(node_id).ledger)) as ledger:
            found.append(ledger.summary()[0].training_epsilon)
    return found


@pytest.mark.timeout(300)
async def test_every_node_pays_once_and_the_version_carries_the_claim(
    trainers: LocalFederation, tiny_model: Path
) -> None:
    created = await call(trainers, "POST", "/v1/jobs", PRIVATE)
    path = f"/v1/jobs/{created['job_id']}"
    async with asyncio.timeout(90):
        while not (await call(trainers, "GET", path))["rounds"]:
            await asyncio.sleep(0.05)
    trainers.kill("mid")  # at any moment of a round
    trainers.start_node("mid")
    job = await ended(trainers, created["job_id"])
    assert job["state"] == "done", job
    assert "at most ε = 4" in job["privacy"]
    assert all(not played["metrics"] for played in job["rounds"])
    assert await asyncio.to_thread(spent, trainers) == pytest.approx([EPSILON] * 3)
    shown = await call(trainers, "GET", f"/v1/prompts/{job['versions'][-1]}")
    assert shown["metrics"] == {"epsilon": 4.0, "delta": 1e-5}
    adaptation = load_adaptation((trainers.coordinator.blobs / shown["sha256"]).read_bytes())
    assert (adaptation.epsilon, adaptation.delta) == (4.0, 1e-5)
    assert all(np.isfinite(value).all() for value in adaptation.tensors.values())
