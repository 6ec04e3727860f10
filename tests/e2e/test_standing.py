"""A standing job over real processes: examples that come start runs, and a killed coordinator goes on with them."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from server.local_federation import LocalFederation
from server.node.datasets import Datasets
from tests.e2e.trainers import NODES, call

JOB: Mapping[str, Any] = {
    "name": "keys",
    "dataset": "doors",
    "method": {"kind": "lora"},
    "local": {"steps": 2, "batch_size": 4},
    "rounds": {"number": 1, "min_replies": 2, "deadline_s": 60},
    "evaluation": {"every": 0, "max_examples": 4, "max_new_tokens": 2},
    "standing": {"min_nodes": 3, "min_new_examples": 24, "cooldown_s": 0, "anchor": 0.1, "margin": 1.0},
}


async def decided(federation: LocalFederation, number: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(120):
        while True:
            found = await call(federation, "GET", "/v1/timeline")
            entries = [row for row in found["timeline"] if row["standing"]]
            if len(entries) >= number:
                return entries
            await asyncio.sleep(0.2)


def hold(federation: LocalFederation, folder: Path, number: int) -> None:
    """Gives every node so many examples in a data set of this test's own."""
    for node in NODES:
        rows = [{"question": f"Where is door {n} of {node}?", "answer": f"wing {n}"} for n in range(number)]
        file = folder / f"{node}.jsonl"
        file.write_text("\n".join(map(json.dumps, rows)))
        Datasets(federation.node(node).datasets).add("doors", file, replace=True)


@pytest.mark.timeout(400)
async def test_runs_follow_each_other_as_examples_come(trainers: LocalFederation, tmp_path: Path) -> None:
    hold(trainers, tmp_path, 24)
    standing = (await call(trainers, "POST", "/v1/jobs", JOB))["job_id"]
    (first,) = await decided(trainers, 1)
    assert (first["event"], first["version"], first["cause"]) == ("promoted", f"{standing}-1", "new_examples")
    assert {"f1_new", "live_f1_new"} <= first["metrics"].keys()
    assert "f1_old" not in first["metrics"]
    hold(trainers, tmp_path, 48)
    await trainers.wait_until(
        lambda body: any(row["job_id"] == f"{standing}-2" for row in body["jobs"]), "/v1/jobs", within_s=30
    )
    trainers.kill("coordinator")
    trainers.start_coordinator()
    await trainers.wait_until(lambda body: body["status"] == "ok", "/healthz", within_s=60)
    second = (await decided(trainers, 2))[1]
    assert (second["event"], second["before"]) == ("promoted", f"{standing}-1")
    assert {"f1_old", "live_f1_old", "f1_new"} <= second["metrics"].keys()
    assert (await call(trainers, "GET", "/v1/prompts"))["live"] == f"{standing}-2"
    await call(trainers, "POST", f"/v1/jobs/{standing}/cancel")
    await trainers.wait_for_nodes(NODES)
    assert (await call(trainers, "POST", "/v1/prompts/none/promote"))["nodes"] == dict.fromkeys(NODES, "live")
