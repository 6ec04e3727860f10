"""Training over real processes: rounds, promotion while answering, kills, and the same weights as the simulation."""

import asyncio
import random
from pathlib import Path

import pytest

from frag.updates import Weights
from prompt_tuning.dataset import read_examples, split
from prompt_tuning.job import JobSettings
from prompt_tuning.language_model import TransformersLanguageModel
from prompt_tuning.simulation import Simulation
from prompt_tuning.trainable import Trainable
from server.local_federation import LocalFederation
from tests.e2e.trainers import JOB, NODES, call, ended, equal, final_weights


def simulated(model: Path, folder: Path) -> Weights:
    """The same job in this process."""
    job = JobSettings.model_validate(JOB)
    trainable = Trainable(TransformersLanguageModel(model, threads=1), job.method, job.template)
    nodes = {node_id: trainable.prepare(split(read_examples(folder / f"{node_id}.jsonl")).train) for node_id in NODES}
    simulation = Simulation(job, trainable, nodes)
    return list(simulation.run(simulation.start(trainable.initial(seed=job.seed))))[-1].state.weights


@pytest.mark.timeout(400)
async def test_train_promote_answer_and_survive(trainers: LocalFederation, tiny_model: Path) -> None:
    created = await call(trainers, "POST", "/v1/jobs", JOB)
    assert created["http_status"] == 201
    job = await ended(trainers, created["job_id"])
    assert job["state"] == "done", job
    assert [r["round"] for r in job["rounds"]] == [1, 2, 3, 4]
    assert all(r["nodes"] == list(NODES) for r in job["rounds"])
    assert {"loss", "held_out_loss", "held_out_f1"} <= job["rounds"][1]["metrics"].keys()
    assert {"held_out_loss", "held_out_f1"} <= job["rounds"][-1]["metrics"].keys()
    assert job["rounds"][-1]["metrics"]["loss"] < job["rounds"][0]["metrics"]["loss"]
    weights = await final_weights(trainers, job)

    # the networked run and the simulation reach the same bits
    equal(weights, await asyncio.to_thread(simulated, tiny_model, trainers.folder))

    # traffic: the trained tensors once each way
    size = sum(value.nbytes for value in weights.values())
    for played in job["rounds"]:
        assert 3 * size <= played["bytes_in"] <= 3 * 1.05 * size
        assert 3 * size <= played["bytes_out"] <= 3 * 1.05 * size

    # promotion goes live without a restart, and names itself in every answer
    (version,) = job["versions"]
    promoted = await call(trainers, "POST", f"/v1/prompts/{version}/promote")
    assert promoted["nodes"] == dict.fromkeys(NODES, "live")

    # the same seed again gives the same weights; in the middle of it the coordinator dies, at a random moment
    again = await call(trainers, "POST", "/v1/jobs", JOB)
    await asyncio.sleep(random.Random().uniform(0.0, 8.0))
    trainers.kill("coordinator")
    trainers.start_coordinator()
    await trainers.wait_until(lambda body: body["status"] == "ok", "/healthz", within_s=60)
    resumed = await ended(trainers, again["job_id"])
    assert resumed["state"] == "done", resumed
    equal(weights, await final_weights(trainers, resumed))

    # a node that dies costs its own update only, and has the promoted version after its restart
    lossy = await call(trainers, "POST", "/v1/jobs", {**JOB, "seed": 1})
    trainers.kill("mid")
    lost = await ended(trainers, lossy["job_id"])
    assert lost["state"] == "done", lost
    assert lost["rounds"][-1]["nodes"] == ["east", "far"]
    trainers.start_node("mid")
    await trainers.wait_for_nodes(NODES)
    await asyncio.sleep(1)
    restored = (trainers.node("mid").prompts / "live.json").read_text()
    assert version in restored
    assert (await call(trainers, "POST", "/v1/prompts/rollback"))["live"] == ""


@pytest.mark.timeout(600)
async def test_twenty_kills_of_the_coordinator_change_no_bit(trainers: LocalFederation) -> None:
    """At random moments of one job; each time it resumes by itself, with the nodes that the open round had."""
    long = {**JOB, "rounds": {**JOB["rounds"], "number": 40}, "evaluation": {"every": 0}}
    moments = random.Random()
    whole = await ended(trainers, (await call(trainers, "POST", "/v1/jobs", long))["job_id"])
    assert whole["state"] == "done", whole
    job_id = (await call(trainers, "POST", "/v1/jobs", long))["job_id"]
    num_open = 0
    for _ in range(20):
        await asyncio.sleep(moments.uniform(0.0, 0.6))
        num_open += (await call(trainers, "GET", f"/v1/jobs/{job_id}"))["state"] != "done"
        trainers.kill("coordinator")
        trainers.start_coordinator()
        await trainers.wait_until(lambda body: body["status"] == "ok", "/healthz", within_s=60)
    killed = await ended(trainers, job_id)
    assert killed["state"] == "done", killed
    assert num_open >= 10, "most kills met the job under way"
    assert [r["round"] for r in killed["rounds"]] == list(range(1, 41))
    equal(await final_weights(trainers, whole), await final_weights(trainers, killed))
