"""Rounds over scripted nodes: forged, late and silent ones cost their own update only."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import msgspec
import numpy as np
import pytest
from safetensors.numpy import load, save

from server.node import process as process_module
from server.node.parts import Desks
from server.node.process import NodeProcess
from server.wire.messages import Progress, Train, Trained
from tests.server.coordinator.scripted_training import (
    JOB,
    Forge,
    ScriptedTrainer,
    federation,
    honest,
    join,
    run,
    weights_of,
)
from tests.server.in_process import InProcessFederation, ScriptedAnswers, says

__all__ = ["federation"]


async def test_two_honest_nodes_hand_computed(federation: InProcessFederation) -> None:
    await join(federation, "a", ScriptedTrainer(federation.url, honest(1.0), num_examples=30))
    await join(federation, "b", ScriptedTrainer(federation.url, honest(-1.0), num_examples=10))
    job = await run(federation)
    assert job["state"] == "done", job
    np.testing.assert_allclose((await weights_of(federation, job))["w"], 2 * (30 - 10) / 40)
    assert [played["nodes"] for played in job["rounds"]] == [["a", "b"]] * 2
    assert job["rounds"][0]["metrics"]["loss"] == 1.0


FORGED: Mapping[str, tuple[Forge, int]] = {
    "wrong shape": (lambda _: save({"w": np.ones((3, 2), np.float32)}), 10),
    "other names": (lambda _: save({"v": np.ones((2, 3), np.float32)}), 10),
    "not a number": (lambda like: save({"w": np.full_like(like["w"], np.nan)}), 10),
    "another dtype": (lambda _: save({"w": np.ones((2, 3), np.float64)}), 10),
    "not safetensors": (lambda _: b"\x80\x04evil pickle", 10),
    "far too large": (lambda _: b"x" * (1 << 20), 10),
    "no example": (honest(1.0), 0),
}


@pytest.mark.parametrize("kind", FORGED)
async def test_a_forged_update_is_left_out_and_the_round_goes_on(federation: InProcessFederation, kind: str) -> None:
    forge, num_examples = FORGED[kind]
    await join(federation, "a", ScriptedTrainer(federation.url, honest(1.0)))
    await join(federation, "b", ScriptedTrainer(federation.url, honest(3.0)))
    await join(federation, "liar", ScriptedTrainer(federation.url, forge, num_examples))
    job = await run(federation)
    assert job["state"] == "done", job
    np.testing.assert_allclose((await weights_of(federation, job))["w"], 4.0)
    assert all(played["nodes"] == ["a", "b"] for played in job["rounds"])
    assert federation.state.registry.link("liar") is not None, "its questions are still answered"


async def test_a_huge_update_and_a_huge_claim_are_bounded_with_a_remark(federation: InProcessFederation) -> None:
    await join(federation, "a", ScriptedTrainer(federation.url, honest(0.0), num_examples=1000))
    await join(federation, "liar", ScriptedTrainer(federation.url, honest(1e6), num_examples=1_000_000_000))
    job = await run(federation, {"rounds": {**JOB["rounds"], "number": 1}})
    bounded = 10.0 / 6**0.5  # norm 10 over six equal entries
    np.testing.assert_allclose((await weights_of(federation, job))["w"], bounded / 2, rtol=1e-4)
    assert "capped" in job["rounds"][0]["remarks"]["liar"]
    assert "scaled" in job["rounds"][0]["remarks"]["liar"]


async def test_a_late_node_costs_its_own_update(federation: InProcessFederation) -> None:
    async def for_ever() -> None:
        await asyncio.sleep(60)

    await join(federation, "a", ScriptedTrainer(federation.url, honest(1.0)))
    await join(federation, "b", ScriptedTrainer(federation.url, honest(1.0)))
    await join(federation, "slow", ScriptedTrainer(federation.url, honest(9.0), before=for_ever))
    job = await run(federation, {"rounds": {**JOB["rounds"], "number": 1, "deadline_s": 1}})
    assert job["rounds"][0]["nodes"] == ["a", "b"]
    np.testing.assert_allclose((await weights_of(federation, job))["w"], 1.0)


async def test_a_late_joiner_enters_the_next_round(federation: InProcessFederation) -> None:
    joined = asyncio.Event()

    async def wait() -> None:
        await joined.wait()

    await join(federation, "a", ScriptedTrainer(federation.url, honest(1.0)))
    await join(federation, "b", ScriptedTrainer(federation.url, honest(1.0), before=wait))
    running = asyncio.create_task(run(federation))
    await asyncio.sleep(0.3)
    await join(federation, "late", ScriptedTrainer(federation.url, honest(1.0)))
    joined.set()
    job = await running
    assert [played["nodes"] for played in job["rounds"]] == [["a", "b"], ["a", "b", "late"]]


async def test_a_ticket_is_for_one_request_and_says_nothing_afterwards(federation: InProcessFederation) -> None:
    trainer = ScriptedTrainer(federation.url, honest(1.0))
    await join(federation, "a", trainer)
    await join(federation, "b", ScriptedTrainer(federation.url, honest(1.0)))
    await run(federation)
    for code in (trainer.seen[0].ticket, "guess"):
        async with federation.session.get(f"{federation.url}/v1/training/{code}") as answer:
            assert answer.status == 404
            assert "exchange" in await answer.text()


async def test_jobs_are_cancelled_resumed_and_listed(federation: InProcessFederation) -> None:
    status, created = await federation.post("/v1/jobs", JOB)  # nobody is connected: it waits
    assert status == 201
    path = f"/v1/jobs/{created['job_id']}"
    _, shown = await federation.get(path)
    assert (shown["state"], shown["waiting"]) == ("queued", "0 of 2 nodes needed that hold qa are connected")
    assert (await federation.post(f"{path}/cancel", {}))[0] == 204
    assert (await federation.get(path))[1]["state"] == "cancelled"
    assert (await federation.post(f"{path}/cancel", {}))[0] == 409
    assert (await federation.post(f"{path}/resume", {}))[0] == 204
    await join(federation, "a", ScriptedTrainer(federation.url, honest(1.0)))
    await join(federation, "b", ScriptedTrainer(federation.url, honest(1.0)))
    async with asyncio.timeout(10):
        while (await federation.get(path))[1]["state"] != "done":
            await asyncio.sleep(0.02)
    assert [job["job_id"] for job in (await federation.get("/v1/jobs"))[1]["jobs"]] == [created["job_id"]]


async def test_a_job_whose_data_set_nobody_holds_does_not_hold_up_others(federation: InProcessFederation) -> None:
    _, typo = await federation.post("/v1/jobs", {**JOB, "dataset": "qq"})
    await join(federation, "a", ScriptedTrainer(federation.url, honest(1.0)))
    await join(federation, "b", ScriptedTrainer(federation.url, honest(1.0)))
    assert (await run(federation))["state"] == "done"
    _, shown = await federation.get(f"/v1/jobs/{typo['job_id']}")
    assert (shown["state"], shown["waiting"]) == ("queued", "0 of 2 nodes needed that hold qq are connected")


async def test_a_round_that_never_gets_its_updates_fails_the_job_with_the_reason(
    federation: InProcessFederation,
) -> None:
    for name in "ab":
        await join(federation, name, ScriptedTrainer(federation.url, lambda _: b"never an update"))
    job = await run(federation, {"rounds": {**JOB["rounds"], "attempts": 2}})
    assert job["state"] == "failed"
    assert job["error"].startswith("0 updates of 2 needed. a: ")


class Measuring(ScriptedTrainer):
    """Measures the weights that it is given: their first entry."""

    async def train(self, request: Train, on_progress: Callable[[Progress], None]) -> Trained:
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/v1/training/{request.ticket}") as got:
            first = float(load(await got.read())["w"][0, 0])
        if not request.train:
            return Trained(request_id=request.request_id, num_examples=0, metrics={"held_out_f1": first})
        trained = await super().train(request, on_progress)
        return msgspec.structs.replace(trained, metrics={"loss": 1.0, "held_out_f1": first})


async def test_a_round_shows_what_was_measured_of_the_weights_it_ended_in(federation: InProcessFederation) -> None:
    for name in "ab":
        await join(federation, name, Measuring(federation.url, honest(0.25)))
    job = await run(federation, {"evaluation": {"every": 1}})
    assert [played["metrics"]["held_out_f1"] for played in job["rounds"]] == [0.25, 0.5]
    _, prompt = await federation.get(f"/v1/prompts/{job['versions'][0]}")
    assert prompt["metrics"]["held_out_f1"] == 0.5


async def test_rollback_goes_back_step_by_step_to_the_model_as_it_is(federation: InProcessFederation) -> None:
    versions = []
    for name in ("one", "two"):
        _, added = await federation.post("/v1/prompts", {"name": name, "instruction": f"Be {name}."})
        versions.append(added["version"])
        await federation.post(f"/v1/prompts/{added['version']}/promote", {})
    assert (await federation.post("/v1/prompts/rollback", {}))[1]["live"] == versions[0]
    assert (await federation.post("/v1/prompts/rollback", {}))[1]["live"] == ""
    assert (await federation.post("/v1/prompts/rollback", {}))[0] == 409
    _, shown = await federation.get(f"/v1/prompts/{versions[0]}")
    assert (shown["instruction"], shown["live"]) == ("Be one.", False)


async def test_events_tell_the_job_from_start_to_end(federation: InProcessFederation) -> None:
    await join(federation, "a", ScriptedTrainer(federation.url, honest(1.0)))
    await join(federation, "b", ScriptedTrainer(federation.url, honest(1.0)))
    job = await run(federation)
    headers = {"Authorization": f"Bearer {federation.api_key}"}
    async with federation.session.get(f"{federation.url}/v1/jobs/{job['job_id']}/events", headers=headers) as answer:
        text = await answer.text()
    names = [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event: ")]
    assert names[0] == "starting"
    assert names.count("round_done") == 2
    assert names[-1] == "done"


@pytest.mark.parametrize(
    ("change", "place"),
    [({"rounds": {"number": 0}}, "rounds.number"), ({"typo": 1}, "typo"), ({"method": {"kind": "magic"}}, "method")],
)
async def test_a_job_that_does_not_fit_names_the_place(
    federation: InProcessFederation, change: Mapping[str, Any], place: str
) -> None:
    status, problem = await federation.post("/v1/jobs", {**JOB, **change})
    assert status == 422
    assert place in problem["detail"]


async def test_promotion_reaches_nodes_now_and_when_they_come_back(federation: InProcessFederation) -> None:
    trainers = {name: ScriptedTrainer(federation.url, honest(1.0)) for name in "ab"}
    for name, trainer in trainers.items():
        await join(federation, name, trainer)
    (version,) = (await run(federation))["versions"]
    away = trainers["b"]
    await federation.leave("b")
    _, said = await federation.post(f"/v1/prompts/{version}/promote", {})
    assert said == {"live": version, "nodes": {"a": "live"}}
    assert trainers["a"].promoted == [version]
    folder_b = federation.folder / "b"
    from server.node.state import NodeFolder

    place = NodeFolder(folder_b)
    process = NodeProcess(
        place.peer(place.settings()), Desks(answers=ScriptedAnswers(says("yes")), trains=away, prompts=away)
    )
    federation.tasks["b"] = asyncio.create_task(process.run())
    await federation.until(lambda: away.promoted == [version])
    _, listed = await federation.get("/v1/prompts")
    assert listed["live"] == version
    assert [p["live"] for p in listed["prompts"]] == [True]
    _, back = await federation.post("/v1/prompts/rollback", {})
    assert back["live"] == ""
    assert trainers["a"].promoted == [version, ""]
    assert (await federation.post("/v1/prompts/nothing/promote", {}))[0] == 404


async def test_a_written_template_is_a_version_too(federation: InProcessFederation) -> None:
    trainer = ScriptedTrainer(federation.url, honest(1.0))
    await join(federation, "a", trainer)
    body = {"name": "terse", "instruction": "Be brief.", "examples": [["Tea is hot.", "What is tea?", "hot"]]}
    status, added = await federation.post("/v1/prompts", body)
    assert status == 201
    assert (await federation.post("/v1/prompts", body))[1] == added, "the same content is the same version"
    assert (await federation.post(f"/v1/prompts/{added['version']}/promote", {}))[1]["nodes"] == {"a": "live"}
    assert trainer.promoted == [added["version"]]
    for wrong in (
        {"name": "says-nothing"},
        {"name": "Not A Name"},
        {"name": "x", "typo": 1},
        {"name": "x", "examples": [["a", "b"]]},
    ):
        assert (await federation.post("/v1/prompts", wrong))[0] == 422


async def test_a_data_set_that_is_added_while_the_node_runs_is_offered_at_once(
    federation: InProcessFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "_LOOK_S", 0.02)
    names: list[str] = []
    trainers = [ScriptedTrainer(federation.url, honest(1.0)) for _ in "ab"]
    for name, trainer in zip("ab", trainers, strict=True):
        trainer.dataset_names = lambda: tuple(names)  # type: ignore[method-assign]
        await join(federation, name, trainer)
    running = asyncio.create_task(run(federation))
    await asyncio.sleep(0.2)
    assert not trainers[0].seen
    names.append("qa")
    assert (await running)["state"] == "done"
