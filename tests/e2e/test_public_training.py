"""Jobs with a public-data phase, and jobs that choose among written prompts, over real processes."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from frag.updates import Weights
from prompt_tuning.dataset import read_examples, split
from prompt_tuning.job import JobSettings
from prompt_tuning.language_model import TransformersLanguageModel
from prompt_tuning.rounds import RoundResult
from prompt_tuning.simulation import Simulation
from prompt_tuning.trainable import Trainable
from server.local_federation import LocalFederation
from server.node.datasets import Datasets
from tests.e2e.trainers import JOB, NODES, call, ended, equal, examples_of, final_weights

PUBLIC_JOB: Mapping[str, Any] = {
    **JOB,
    "public": {"dataset": "open", "steps": 4, "margin": 0.02, "max_passes": 3},
    "rounds": {**JOB["rounds"], "number": 2},
    "update": {"encoding": "int8", "broadcast": "fp16"},
}


def simulated(model: Path, folder: Path) -> RoundResult:
    job = JobSettings.model_validate(PUBLIC_JOB)
    trainable = Trainable(TransformersLanguageModel(model, threads=1), job.method, job.template)
    nodes = {node_id: trainable.prepare(split(read_examples(folder / f"{node_id}.jsonl")).train) for node_id in NODES}
    open_ = split(read_examples(folder / "open.jsonl"))
    simulation = Simulation(
        job,
        trainable,
        nodes,
        public=trainable.prepare(open_.train),
        public_validation=trainable.prepare((open_.held_out or open_.validation)[: job.evaluation.max_examples]),
    )
    return list(simulation.run(simulation.start(trainable.initial(seed=job.seed))))[-1]


@pytest.mark.timeout(300)
async def test_public_phase(trainers: LocalFederation, tiny_model: Path) -> None:
    source = trainers.folder / "open.jsonl"
    source.write_text(examples_of("public"))
    refused = await call(trainers, "POST", "/v1/jobs", PUBLIC_JOB)
    assert refused["http_status"] == 422
    assert "holds no data set 'open'" in refused["detail"]

    Datasets(trainers.coordinator.datasets).add("open", source)
    created = await call(trainers, "POST", "/v1/jobs", PUBLIC_JOB)
    job = await ended(trainers, created["job_id"])
    assert job["state"] == "done", job
    metrics = [played["metrics"] for played in job["rounds"]]
    assert all(1 <= found["public_passes"] <= 3 for found in metrics)
    assert metrics[1]["public_loss"] < metrics[0]["public_loss"]
    weights = await final_weights(trainers, job)
    size = sum(value.nbytes for value in weights.values())
    for played in job["rounds"]:
        assert played["bytes_in"] <= 3 * 0.27 * size
        assert played["bytes_out"] <= 3 * 0.53 * size
    expected = await asyncio.to_thread(simulated, tiny_model, trainers.folder)
    equal(weights, expected.state.weights)
    assert metrics[1]["public_loss"] == pytest.approx(expected.metrics["public_loss"], rel=1e-6)

    await written_prompts_are_chosen_by_the_nodes(trainers)

    again = await call(trainers, "POST", "/v1/jobs", PUBLIC_JOB)
    await asyncio.sleep(3)
    trainers.kill("coordinator")
    trainers.start_coordinator()
    await trainers.wait_until(lambda body: body["status"] == "ok", "/healthz", within_s=60)
    resumed = await ended(trainers, again["job_id"])
    assert resumed["state"] == "done", resumed
    resumed_weights: Weights = await final_weights(trainers, resumed)
    equal(weights, resumed_weights)


async def written_prompts_are_chosen_by_the_nodes(federation: LocalFederation) -> None:
    candidates = [{"name": "plain"}, {"name": "terse", "instruction": "Answer in one word."}]
    choice = {**JOB, "method": {"kind": "template", "candidates": candidates}}
    job = await ended(federation, (await call(federation, "POST", "/v1/jobs", choice))["job_id"])
    assert job["state"] == "done", job
    assert [set(played["nodes"]) for played in job["rounds"]] == [set(NODES)] * 2
    promoted = await call(federation, "POST", f"/v1/prompts/{job['versions'][0]}/promote")
    assert promoted["nodes"] == dict.fromkeys(NODES, "live")
    await call(federation, "POST", "/v1/prompts/rollback")
