"""Three nodes that train a random model of a few thousand weights, and what tests ask of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from frag.updates import Weights
from prompt_tuning.adaptation_file import load_adaptation
from server.local_federation import LocalFederation
from server.node.datasets import Datasets

NODES = ("east", "far", "mid")
JOB: Mapping[str, Any] = {
    "name": "keys",
    "dataset": "qa",
    "method": {"kind": "deep", "num_virtual_tokens": 64},
    "local": {"steps": 3, "batch_size": 4, "learning_rate": 0.05},
    "rounds": {"number": 4, "min_replies": 2, "deadline_s": 60},
    "evaluation": {"every": 2, "max_examples": 4, "max_new_tokens": 4},
}


def examples_of(node_id: str) -> str:
    rows = [
        {
            "question": f"Who keeps key {n} of {node_id}?",
            "answer": f"porter {n}",
            "passage": f"Porter {n} keeps key {n}.",
        }
        for n in range(24)
    ]
    return "\n".join(map(json.dumps, rows))


@asynccontextmanager
async def three_trainers(folder: Path, model: Path) -> AsyncIterator[LocalFederation]:
    """Three nodes with a random model of a few thousand weights and 24 examples each, all connected."""
    models = {"language_model": str(model), "threads": 1}
    async with LocalFederation(folder, settings={"models": models}) as federation:
        for node_id in NODES:
            await federation.add_node(
                node_id,
                {
                    "models": models,
                    "policy": {"answer_modes": ["none"], "min_evidence": -1},
                    "collections": [{"name": "documents", "folder": "documents"}],
                },
            )
            place = federation.node(node_id)
            source = folder / f"{node_id}.jsonl"
            source.write_text(examples_of(node_id))
            Datasets(place.datasets).add("qa", source)
            federation.start_node(node_id)
        await federation.wait_for_nodes(NODES)
        yield federation


async def call(federation: LocalFederation, method: str, path: str, body: object = None) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {federation.api_key}"}
    async with (
        aiohttp.ClientSession(federation.url, headers=headers) as session,
        session.request(method, path, json=body) as answer,
    ):
        content = await answer.read()
        return {"http_status": answer.status, **(json.loads(content) if content else {})}


async def ended(federation: LocalFederation, job_id: str, within_s: float = 90) -> dict[str, Any]:
    async with asyncio.timeout(within_s):
        while True:
            job = await call(federation, "GET", f"/v1/jobs/{job_id}")
            if job["state"] in {"done", "failed", "cancelled"}:
                return job
            await asyncio.sleep(0.1)


async def final_weights(federation: LocalFederation, job: Mapping[str, Any]) -> Weights:
    shown = await call(federation, "GET", f"/v1/prompts/{job['versions'][-1]}")
    return load_adaptation((federation.coordinator.blobs / shown["sha256"]).read_bytes()).tensors


def equal(ours: Weights, theirs: Weights) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name])
