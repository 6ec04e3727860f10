"""Secure aggregation over real processes: the simulation's bits, no update and no metric at the coordinator."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from frag.updates import Weights
from prompt_tuning.dataset import read_examples, split
from prompt_tuning.job import JobSettings
from prompt_tuning.language_model import TransformersLanguageModel
from prompt_tuning.simulation import Simulation
from prompt_tuning.trainable import Trainable
from server.local_federation import LocalFederation
from tests.e2e.trainers import JOB, NODES, call, ended, equal, final_weights

SECURE: Mapping[str, Any] = {
    **JOB,
    "aggregation": {"mode": "secagg", "max_examples": 100, "stage_deadline_s": 10},
    "rounds": {"number": 2, "min_replies": 3, "deadline_s": 60},
    "evaluation": {"every": 0},
}


def simulated(model: Path, folder: Path) -> Weights:
    job = JobSettings.model_validate(SECURE)
    trainable = Trainable(TransformersLanguageModel(model, threads=1), job.method, job.template)
    nodes = {node_id: trainable.prepare(split(read_examples(folder / f"{node_id}.jsonl")).train) for node_id in NODES}
    simulation = Simulation(job, trainable, nodes)
    return list(simulation.run(simulation.start(trainable.initial(seed=job.seed))))[-1].state.weights


@pytest.mark.timeout(300)
async def test_the_sum_of_hidden_updates_trains_to_the_bits_of_the_simulation(
    trainers: LocalFederation, tiny_model: Path
) -> None:
    job = await ended(trainers, (await call(trainers, "POST", "/v1/jobs", SECURE))["job_id"])
    assert job["state"] == "done", job
    assert [played["nodes"] for played in job["rounds"]] == [list(NODES)] * 2
    assert all(played["metrics"] == {} for played in job["rounds"]), "metrics are of single nodes"
    weights = await final_weights(trainers, job)
    equal(weights, await asyncio.to_thread(simulated, tiny_model, trainers.folder))
    size = sum(value.nbytes for value in weights.values())
    for played in job["rounds"]:
        assert 3 * size <= played["bytes_in"] <= 3 * 1.35 * size + 3 * 4096

    # a node that is gone: two cannot hide each other, so the round waits for it
    waiting = (await call(trainers, "POST", "/v1/jobs", {**SECURE, "seed": 1}))["job_id"]
    trainers.kill("mid")
    await asyncio.sleep(3)
    assert (await call(trainers, "GET", f"/v1/jobs/{waiting}"))["state"] == "running"
    trainers.start_node("mid")
    assert (await ended(trainers, waiting))["state"] == "done"
