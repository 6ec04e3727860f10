"""Standing jobs over a real coordinator with scripted nodes: when a run starts, and what goes live."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from aiohttp.test_utils import TestServer
from safetensors.numpy import save

from frag.updates import Weights
from server.coordinator.app import make_app
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.standing import service as service_module
from server.coordinator.state import STATE
from server.coordinator.training import runner as runner_module
from server.coordinator.training.start import JobStart, StartInfo
from server.node import process as process_module
from server.wire.messages import DriftSign
from tests.server.coordinator.scripted_training import JOB, START, ScriptedTrainer, honest, join
from tests.server.in_process import InProcessFederation, in_process

STANDING: dict[str, Any] = {"min_nodes": 2, "min_new_examples": 10, "cooldown_s": 0}
EVERY = {**JOB, "method": {"kind": "lora"}, "rounds": {**JOB["rounds"], "number": 1}}


class Learner(ScriptedTrainer):
    """Its data set grows; the F1 on either side is what the test says of the mean weight."""

    def __init__(self, url: str, step: float, f1: Callable[[float, str], float]) -> None:
        super().__init__(url, honest(step))
        self.f1 = f1

    def measures(self, weights: Weights) -> dict[str, float]:
        at = float(np.mean(weights["w"]))
        return {
            **{f"held_out_f1_{side}": self.f1(at, side) for side in ("old", "new")},
            **{f"held_out_n_{side}": 10.0 for side in ("old", "new")},
        }


@pytest.fixture
async def federation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[InProcessFederation]:
    quicken(monkeypatch)
    async with in_process(tmp_path) as running:
        yield running


def quicken(monkeypatch: pytest.MonkeyPatch) -> None:
    async def make_start(*_: object) -> JobStart:
        return JobStart(info=StartInfo(base_model="0" * 64, layout="1" * 64, embedder=""), weights=save(START))

    monkeypatch.setattr(runner_module, "make_start", make_start)
    monkeypatch.setattr(service_module, "_LOOK_S", 0.02)
    monkeypatch.setattr(process_module, "_LOOK_S", 0.02)


def better(at: float, _side: str) -> float:
    return 0.5 + at / 10


def forgets(at: float, side: str) -> float:
    return 0.5 + (at if side == "new" else -at) / 10


async def team(federation: InProcessFederation, f1: Callable[[float, str], float] = better) -> list[Learner]:
    learners = [Learner(federation.url, 1.0, f1) for _ in range(2)]
    for name, learner in zip("ab", learners, strict=True):
        await join(federation, name, learner)
    return learners


async def stand(federation: InProcessFederation, **changes: Any) -> str:
    status, created = await federation.post("/v1/jobs", {**EVERY, "standing": {**STANDING, **changes}})
    assert (status, created["state"]) == (201, "waiting"), created
    return str(created["job_id"])


async def decided(federation: InProcessFederation, number: int) -> list[dict[str, Any]]:
    """The entries of the timeline that are decisions, as soon as there are `number`."""
    async with asyncio.timeout(10):
        while True:
            _, found = await federation.get("/v1/timeline")
            entries = [entry for entry in found["timeline"] if entry["event"] not in {"version", "live"}]
            if len(entries) >= number:
                return entries
            await asyncio.sleep(0.02)


def grow(learners: list[Learner], to: int) -> None:
    for learner in learners:
        learner.sizes = {"qa": to}


async def test_a_run_starts_by_itself_when_enough_nodes_have_enough_new_examples(
    federation: InProcessFederation,
) -> None:
    learners = await team(federation)
    standing = await stand(federation)
    grow(learners[:1], 50)
    grow(learners[1:], 9)
    await asyncio.sleep(0.3)
    _, view = await federation.get(f"/v1/jobs/{standing}")
    assert (view["state"], view["num_runs"]) == ("waiting", 0)
    assert "a 50, b 9" in view["waiting"]
    grow(learners[1:], 10)
    (entry,) = await decided(federation, 1)
    assert (entry["event"], entry["cause"], entry["version"]) == ("promoted", "new_examples", f"{standing}-1")
    assert entry["metrics"]["live_f1_old"] == pytest.approx(0.5)
    assert entry["metrics"]["f1_old"] == pytest.approx(0.6)
    assert [learner.version for learner in learners] == [f"{standing}-1"] * 2
    await asyncio.sleep(0.2)
    assert len(await decided(federation, 1)) == 1, "nothing new has come since"


async def test_the_next_run_starts_from_the_live_version(federation: InProcessFederation) -> None:
    learners = await team(federation)
    standing = await stand(federation)
    grow(learners, 10)
    await decided(federation, 1)
    grow(learners, 20)
    second = (await decided(federation, 2))[1]
    assert second["before"] == f"{standing}-1"
    assert second["metrics"]["live_f1_new"] == pytest.approx(0.6)
    assert second["metrics"]["f1_new"] == pytest.approx(0.7)
    _, view = await federation.get(f"/v1/jobs/{standing}")
    assert view["versions"] == [f"{standing}-1", f"{standing}-2"]


async def test_what_is_worse_on_old_data_is_not_promoted(federation: InProcessFederation) -> None:
    learners = await team(federation, forgets)
    await stand(federation)
    grow(learners, 10)
    (entry,) = await decided(federation, 1)
    assert entry["event"] == "rolled_back"
    assert "worse on old data: F1 0.400 against 0.500" in entry["reason"]
    assert (await federation.get("/v1/prompts"))[1]["live"] == ""
    assert [learner.promoted for learner in learners] == [[], []]


async def test_the_cool_down_is_kept_and_a_wide_margin_lets_worse_ones_through(
    federation: InProcessFederation,
) -> None:
    learners = await team(federation, forgets)
    standing = await stand(federation, cooldown_s=60, margin=0.2)
    grow(learners, 10)
    (entry,) = await decided(federation, 1)
    assert entry["event"] == "promoted"
    grow(learners, 100)
    await asyncio.sleep(0.3)
    _, view = await federation.get(f"/v1/jobs/{standing}")
    assert view["num_runs"] == 1
    assert view["waiting"].startswith("rests for")


async def test_pause_resume_and_cancel(federation: InProcessFederation) -> None:
    learners = await team(federation)
    standing = await stand(federation)
    assert (await federation.post(f"/v1/jobs/{standing}/pause", {}))[0] == 204
    assert (await federation.post(f"/v1/jobs/{standing}/pause", {}))[0] == 409
    grow(learners, 10)
    await asyncio.sleep(0.3)
    assert (await federation.get(f"/v1/jobs/{standing}"))[1]["num_runs"] == 0
    assert (await federation.post(f"/v1/jobs/{standing}/resume", {}))[0] == 204
    await decided(federation, 1)
    assert (await federation.post(f"/v1/jobs/{standing}/cancel", {}))[0] == 204
    grow(learners, 100)
    await asyncio.sleep(0.3)
    _, found = await federation.get("/v1/jobs")
    assert [(row["state"], row["num_runs"]) for row in found["standing"]] == [("cancelled", 1)]
    assert (await federation.post(f"/v1/jobs/{standing}/cancel", {}))[0] == 409


async def test_drift_at_enough_nodes_starts_a_run(federation: InProcessFederation) -> None:
    learners = await team(federation)
    await stand(federation, min_new_examples=1000)
    await stand(federation, min_new_examples=1000, on_drift=False)
    grow(learners, 5)
    for node in "ab":
        link = federation.state.registry.silos()["ab".index(node)]
        await federation.until(lambda link=link: link.ready.dataset_sizes == {"qa": 5})  # type: ignore[misc]
        link._ready = msgspec.structs.replace(link.ready, drift=DriftSign(strength=0.9, is_seen=True))
    entries = await decided(federation, 1)
    assert [entry["cause"] for entry in entries][:1] == ["drift"]


async def test_a_restart_in_the_middle_of_a_run_goes_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quicken(monkeypatch)
    async with in_process(tmp_path) as before:
        learners = await team(before)
        for learner in learners:
            learner.before = asyncio.Event().wait  # type: ignore[assignment]
        standing = await stand(before)
        grow(learners, 10)
        await before.until(lambda: all(learner.seen for learner in learners))
    app = make_app(CoordinatorFolder(tmp_path / "coordinator"))
    async with TestServer(app):
        after = app[STATE].standing
        view = await after.view(standing)
        assert (view["state"], view["num_runs"], view["run"]) == ("running", 1, f"{standing}-1")
        assert (await app[STATE].jobs.view(f"{standing}-1"))["waiting"].startswith("0 of 2 nodes")
        assert (await after._records.get(standing)).seen == '{"a": 10, "b": 10}'
        await after.cancel(standing)
        async with asyncio.timeout(5):
            while not (entries := await after.decisions()):
                await asyncio.sleep(0.02)
        assert [(entry.decision, entry.reason) for entry in entries] == [("failed", "cancelled")]


async def test_a_version_promoted_meanwhile_stays(federation: InProcessFederation) -> None:
    learners = await team(federation)
    gate = asyncio.Event()
    for learner in learners:
        learner.before = gate.wait  # type: ignore[assignment]
    await stand(federation)
    grow(learners, 10)
    await federation.until(lambda: all(learner.seen for learner in learners))
    _, added = await federation.post("/v1/prompts", {"name": "terse", "instruction": "Be brief."})
    await federation.post(f"/v1/prompts/{added['version']}/promote", {})
    gate.set()
    (entry,) = await decided(federation, 1)
    assert entry["event"] == "superseded"
    assert (await federation.get("/v1/prompts"))[1]["live"] == added["version"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"objective": "causal_lm"}, "causal_lm"),
        ({"strategy": {"kind": "fedbuff"}}, "fedbuff"),
        ({"method": {"kind": "template", "candidates": [{"name": "a", "instruction": "b"}]}}, "written prompts"),
        ({"standing": {"replay": 1.0}}, "replay"),
        ({"standing": {"series": "another-00aa"}}, "series"),
    ],
)
async def test_a_job_that_cannot_stand_is_refused(
    federation: InProcessFederation, changes: dict[str, Any], said: str
) -> None:
    status, problem = await federation.post("/v1/jobs", {**EVERY, "standing": STANDING, **changes})
    assert status == 422
    assert said in problem["detail"]
