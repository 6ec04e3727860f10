"""Training over real processes: rounds, promotion while answering, kills, and the same weights as the simulation."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from frag.settings import ModelSettings
from frag.updates import Weights
from prompt_tuning.adaptation_file import load_adaptation
from prompt_tuning.dataset import read_examples, split
from prompt_tuning.job import JobSettings
from prompt_tuning.language_model import TransformersLanguageModel
from prompt_tuning.simulation import Simulation
from prompt_tuning.trainable import Trainable
from server.local_federation import LocalFederation
from server.node.datasets import Datasets
from tests.tiny_model import write_tiny_model

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
async def trainers(folder: Path, model: Path, api_port: int = 0) -> AsyncIterator[LocalFederation]:
    """Three nodes with a random model of a few thousand weights and 24 examples each, all connected."""
    models = {"language_model": str(model), "threads": 1}
    async with LocalFederation(folder, settings={"models": models}, port=api_port) as federation:
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


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"), hidden_size=32)


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


def simulated(model: Path, folder: Path) -> Weights:
    """The same job in this process."""
    job = JobSettings.model_validate(JOB)
    trainable = Trainable(TransformersLanguageModel(model, threads=1), job.method, job.template)
    nodes = {node_id: trainable.prepare(split(read_examples(folder / f"{node_id}.jsonl")).train) for node_id in NODES}
    simulation = Simulation(job, trainable, nodes)
    return list(simulation.run(simulation.start(trainable.initial(seed=job.seed))))[-1].state.weights


def equal(ours: Weights, theirs: Weights) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name])


@pytest.mark.timeout(400)
async def test_train_promote_answer_and_survive(tmp_path: Path, real_models: ModelSettings, model: Path) -> None:
    del real_models
    async with trainers(tmp_path, model) as federation:
        created = await call(federation, "POST", "/v1/jobs", JOB)
        assert created["http_status"] == 201
        job = await ended(federation, created["job_id"])
        assert job["state"] == "done", job
        assert [r["round"] for r in job["rounds"]] == [1, 2, 3, 4]
        assert all(r["nodes"] == list(NODES) for r in job["rounds"])
        assert {"loss", "held_out_loss", "held_out_f1"} <= job["rounds"][1]["metrics"].keys()
        assert {"held_out_loss", "held_out_f1"} <= job["rounds"][-1]["metrics"].keys()
        assert job["rounds"][-1]["metrics"]["loss"] < job["rounds"][0]["metrics"]["loss"]
        weights = await final_weights(federation, job)

        # the networked run and the simulation reach the same bits
        equal(weights, await asyncio.to_thread(simulated, model, tmp_path))

        # traffic: the trained tensors once each way
        size = sum(value.nbytes for value in weights.values())
        for played in job["rounds"]:
            assert 3 * size <= played["bytes_in"] <= 3 * 1.05 * size
            assert 3 * size <= played["bytes_out"] <= 3 * 1.05 * size

        # promotion goes live without a restart, and names itself in every answer
        (version,) = job["versions"]
        promoted = await call(federation, "POST", f"/v1/prompts/{version}/promote")
        assert promoted["nodes"] == dict.fromkeys(NODES, "live")

        # the same seed again gives the same weights; in the middle of it the coordinator dies, at a random moment
        again = await call(federation, "POST", "/v1/jobs", JOB)
        await asyncio.sleep(random.Random().uniform(0.0, 8.0))
        federation.kill("coordinator")
        federation.start_coordinator()
        await federation.wait_until(lambda body: body["status"] == "ok", "/healthz", within_s=60)
        resumed = await ended(federation, again["job_id"])
        assert resumed["state"] == "done", resumed
        equal(weights, await final_weights(federation, resumed))

        # a node that dies costs its own update only, and has the promoted version after its restart
        lossy = await call(federation, "POST", "/v1/jobs", {**JOB, "seed": 1})
        federation.kill("mid")
        lost = await ended(federation, lossy["job_id"])
        assert lost["state"] == "done", lost
        assert lost["rounds"][-1]["nodes"] == ["east", "far"]
        federation.start_node("mid")
        await federation.wait_for_nodes(NODES)
        await asyncio.sleep(1)
        restored = (federation.node("mid").prompts / "live.json").read_text()
        assert version in restored
        assert (await call(federation, "POST", "/v1/prompts/rollback"))["live"] == ""


@pytest.mark.timeout(600)
async def test_twenty_kills_of_the_coordinator_change_no_bit(
    tmp_path: Path, real_models: ModelSettings, model: Path
) -> None:
    """At random moments of one job; each time it resumes by itself, with the nodes that the open round had."""
    del real_models
    long = {**JOB, "rounds": {**JOB["rounds"], "number": 60}, "evaluation": {"every": 0}}
    moments = random.Random()
    async with trainers(tmp_path, model) as federation:
        whole = await ended(federation, (await call(federation, "POST", "/v1/jobs", long))["job_id"])
        assert whole["state"] == "done", whole
        job_id = (await call(federation, "POST", "/v1/jobs", long))["job_id"]
        num_open = 0
        for _ in range(20):
            await asyncio.sleep(moments.uniform(0.0, 1.0))
            num_open += (await call(federation, "GET", f"/v1/jobs/{job_id}"))["state"] != "done"
            federation.kill("coordinator")
            federation.start_coordinator()
            await federation.wait_until(lambda body: body["status"] == "ok", "/healthz", within_s=60)
        killed = await ended(federation, job_id)
        assert killed["state"] == "done", killed
        assert num_open >= 10, "most kills met the job under way"
        assert [r["round"] for r in killed["rounds"]] == list(range(1, 61))
        equal(await final_weights(federation, whole), await final_weights(federation, killed))
