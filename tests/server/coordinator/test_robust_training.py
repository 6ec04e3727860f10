"""Robust rounds over scripted nodes: liars are left out by name, and too few nodes are not enough."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tests.server.coordinator.scripted_training import JOB, ScriptedTrainer, federation, honest, join, run, weights_of
from tests.server.in_process import InProcessFederation

__all__ = ["federation"]


def robust(rule: str, **more: object) -> Mapping[str, Any]:
    return {
        "aggregation": {"mode": "robust", "rule": rule, "tolerated": 1},
        "rounds": {"number": 1, "min_replies": 5, "deadline_s": 3, "attempts": 1},
        "update": {},
        **more,
    }


async def five(federation: InProcessFederation, evil: float) -> None:
    for name, value in zip("abcd", (0.9, 1.0, 1.1, 1.0), strict=True):
        await join(federation, name, ScriptedTrainer(federation.url, honest(value)))
    await join(federation, "liar", ScriptedTrainer(federation.url, honest(evil), num_examples=100_000))


@pytest.mark.parametrize("rule", ["median", "trimmed_mean", "krum", "multi_krum"])
async def test_a_liar_with_a_large_claim_does_not_carry_the_update_off(
    federation: InProcessFederation, rule: str
) -> None:
    await five(federation, evil=-50.0)
    job = await run(federation, robust(rule))
    assert job["state"] == "done", job
    np.testing.assert_allclose((await weights_of(federation, job))["w"], 1.0, atol=0.11)
    if rule == "multi_krum":
        assert job["rounds"][0]["remarks"] == {"liar": "left out by multi_krum"}
        assert job["rounds"][0]["nodes"] == ["a", "b", "c", "d"]


async def test_plain_averaging_is_carried_off(federation: InProcessFederation) -> None:
    """The control: without robust rules the same liar wins."""
    await five(federation, evil=-50.0)
    job = await run(federation, robust("median", aggregation={"mode": "plain"}))
    assert (await weights_of(federation, job))["w"].max() < -49


async def test_fewer_nodes_than_the_rule_needs_fail_the_round(federation: InProcessFederation) -> None:
    for name in "abc":
        await join(federation, name, ScriptedTrainer(federation.url, honest(1.0)))
    job = await run(federation, robust("krum", rounds={"number": 1, "min_replies": 3, "deadline_s": 3, "attempts": 1}))
    assert job["state"] == "failed"
    assert "needs 5 updates, 3 came" in job["error"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"aggregation": {"mode": "robust"}, "strategy": {"kind": "fedbuff"}},
        {"aggregation": {"mode": "robust", "rule": "krum", "tolerated": 2}, "rounds": {"nodes_per_round": 6}},
        {"aggregation": {"mode": "secagg"}, "strategy": {"kind": "fedbuff"}},
        {"aggregation": {"mode": "secagg"}, "update": {"encoding": "int8"}},
        {"aggregation": {"mode": "secagg"}, "rounds": {"nodes_per_round": 2}},
        {"aggregation": {"mode": "secagg"}, "method": {"kind": "template"}},
        {"aggregation": {"mode": "secagg", "rule": "krum"}},
    ],
)
async def test_modes_whose_claim_would_be_false_are_refused(
    federation: InProcessFederation, wrong: Mapping[str, Any]
) -> None:
    status, _problem = await federation.post("/v1/jobs", {**JOB, **wrong})
    assert status == 422
