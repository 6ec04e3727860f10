"""A standing job over real processes: examples that come start runs, and a killed coordinator goes on with them."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from frag.settings import ModelSettings
from server.local_federation import LocalFederation
from server.node.datasets import Datasets
from tests.e2e.trainers import NODES, call, examples_of, three_trainers

JOB: Mapping[str, Any] = {
    "name": "keys",
    "dataset": "qa",
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


@pytest.mark.timeout(400)
async def test_runs_follow_each_other_as_examples_come(
    tmp_path: Path, real_models: ModelSettings, tiny_model: Path
) -> None:
    del real_models
    async with three_trainers(tmp_path, tiny_model) as federation:
        standing = (await call(federation, "POST", "/v1/jobs", JOB))["job_id"]
        (first,) = await decided(federation, 1)
        assert (first["event"], first["version"], first["cause"]) == ("promoted", f"{standing}-1", "new_examples")
        assert {"f1_new", "live_f1_new"} <= first["metrics"].keys()
        assert "f1_old" not in first["metrics"]
        for node in NODES:
            more = tmp_path / f"{node}-more.jsonl"
            rows = [{"question": f"Where is door {n} of {node}?", "answer": f"wing {n}"} for n in range(24)]
            more.write_text("\n".join([examples_of(node), *map(json.dumps, rows)]))
            Datasets(federation.node(node).datasets).add("qa", more, replace=True)
        await federation.wait_until(
            lambda body: any(row["job_id"] == f"{standing}-2" for row in body["jobs"]), "/v1/jobs", within_s=30
        )
        federation.kill("coordinator")
        federation.start_coordinator()
        await federation.wait_until(lambda body: body["status"] == "ok", "/healthz", within_s=60)
        second = (await decided(federation, 2))[1]
        assert (second["event"], second["before"]) == ("promoted", f"{standing}-1")
        assert {"f1_old", "live_f1_old", "f1_new"} <= second["metrics"].keys()
        assert (await call(federation, "GET", "/v1/prompts"))["live"] == f"{standing}-2"
