"""Private jobs over scripted nodes: budgets end them, liars weigh no more, versions carry the claim."""

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from frag.privacy.accounting import plan_epsilon
from prompt_tuning import rounds as rounds_module
from prompt_tuning.adaptation_file import load_adaptation
from tests.server.coordinator.scripted_training import JOB, ScriptedTrainer, federation, honest, join, run, weights_of
from tests.server.in_process import InProcessFederation

__all__ = ["federation"]

ROUNDS = {"number": 2, "deadline_s": 3, "rejoin_s": 0.5}


def client(**changes: Any) -> dict[str, Any]:
    privacy = {"mode": "client", "nodes": 100, "noise_multiplier": 2.0, "max_epsilon": 500.0, **changes}
    return {"rounds": ROUNDS, "privacy": privacy, "update": {}}


RECORD: Mapping[str, Any] = {"rounds": ROUNDS, "privacy": {"mode": "record", "max_epsilon": 3.0}, "update": {}}


async def adaptation_of(federation: InProcessFederation, job: Mapping[str, Any]) -> Any:
    return load_adaptation(await federation.state.versions._content(job["versions"][-1]))


async def test_a_record_job_counts_nodes_alike_and_its_version_carries_the_budget(
    federation: InProcessFederation,
) -> None:
    await join(federation, "a", ScriptedTrainer(federation.url, honest(1.0), num_examples=1))
    await join(federation, "liar", ScriptedTrainer(federation.url, honest(-1.0), num_examples=100_000))
    job = await run(federation, {**RECORD, "rounds": {**ROUNDS, "min_replies": 2}})
    assert job["state"] == "done", job
    np.testing.assert_allclose((await weights_of(federation, job))["w"], 0.0, atol=1e-6)
    adaptation = await adaptation_of(federation, job)
    assert (adaptation.epsilon, adaptation.delta) == (3.0, 1e-5)
    assert "at most ε = 3, δ = 1e-05" in job["privacy"]


async def test_a_job_without_a_claim_says_nothing(federation: InProcessFederation) -> None:
    await join(federation, "a", ScriptedTrainer(federation.url, honest(1.0)))
    await join(federation, "b", ScriptedTrainer(federation.url, honest(1.0)))
    job = await run(federation)
    assert job["privacy"] == ""
    assert np.isinf((await adaptation_of(federation, job)).epsilon)


async def test_updates_are_clipped_noised_and_divided_by_the_public_number(
    federation: InProcessFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    await join(federation, "a", ScriptedTrainer(federation.url, honest(5.0), num_examples=1))
    await join(federation, "b", ScriptedTrainer(federation.url, honest(5.0), num_examples=9))
    monkeypatch.setattr(rounds_module.SecretDraws, "normals", lambda _self, *shape: np.zeros(shape))
    job = await run(federation, {**client(clip_norm=1.0, clip_rate=0), "rounds": {**ROUNDS, "number": 1}})
    assert job["state"] == "done", job
    np.testing.assert_allclose((await weights_of(federation, job))["w"], 2 / 6**0.5 / 100, rtol=1e-5)
    assert job["rounds"][0]["metrics"] == {"clip_norm": 1.0}, "losses of nodes are not told"


async def test_the_budget_ends_a_client_job_and_its_version_says_what_was_spent(
    federation: InProcessFederation,
) -> None:
    """Two rounds within the budget, of five."""
    two = plan_epsilon(2.0, 1.0, 2)
    settings = client(max_epsilon=two + 0.01)
    await join(federation, "a", ScriptedTrainer(federation.url, honest(1.0)))
    job = await run(federation, {**settings, "rounds": {**ROUNDS, "number": 5}})
    assert job["state"] == "done", job
    assert len(job["rounds"]) == 2
    adaptation = await adaptation_of(federation, job)
    assert (adaptation.epsilon, adaptation.delta) == (two, 1e-5)
    assert "Spent in 2 of 5 rounds" in job["privacy"]
    assert "The job stopped there" in job["privacy"]


async def test_a_sample_is_drawn_once_and_a_round_is_never_repeated(federation: InProcessFederation) -> None:
    """The only node that is drawn does not reply in time: its round is noise, not another draw."""

    async def for_ever() -> None:
        await asyncio.sleep(60)

    slow = ScriptedTrainer(federation.url, honest(1.0), before=for_ever)
    await join(federation, "slow", slow)
    job = await run(federation, {**client(), "rounds": {"number": 2, "deadline_s": 0.5, "rejoin_s": 0.2}})
    assert job["state"] == "done", job
    assert [played["nodes"] for played in job["rounds"]] == [[], []]
    assert len(slow.seen) == 2
    assert (await weights_of(federation, job))["w"].any()


async def test_a_round_that_a_crash_interrupted_keeps_its_sample(federation: InProcessFederation) -> None:
    records = federation.state.jobs._records
    await records.add_job("j", "{}")
    assert await records.roster("j", 0) is None
    await records.set_roster("j", 0, [])
    assert await records.roster("j", 0) == [], "drawn, and nobody was in it"
    assert await records.roster("j", 1) is None


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        (client(nodes=10), 422, "among hundreds"),
        ({**client(), "aggregation": {"mode": "secagg"}}, 422, "secagg shows it none"),
        ({**RECORD, "evaluation": {"every": 1}}, 422, "evaluation.every = 0"),
    ],
)
async def test_claims_that_would_be_false_are_refused(
    federation: InProcessFederation, changes: Mapping[str, Any], status: int, reason: str
) -> None:
    got, problem = await federation.post("/v1/jobs", {**JOB, **changes})
    assert got == status
    assert reason in str(problem)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (client(max_epsilon=0.01), "One round costs more"),
        ({**RECORD, "privacy": {"mode": "record", "units": 50}}, "the job allows 8"),
    ],
)
async def test_a_job_over_its_own_budget_is_not_queued(
    federation: InProcessFederation, changes: Mapping[str, Any], reason: str
) -> None:
    status, problem = await federation.post("/v1/jobs", {**JOB, **changes})
    assert (status, problem["code"]) == (503, "ledger_refused")
    assert reason in str(problem)
