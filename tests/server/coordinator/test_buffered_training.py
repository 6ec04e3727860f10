"""Asynchronous jobs over scripted nodes: nobody waits for anybody, and what is late counts for less."""

import asyncio
from typing import Any

import numpy as np

from frag.updates import Update
from prompt_tuning.buffered_simulation import BufferedSimulation
from prompt_tuning.job import JobSettings
from prompt_tuning.strategies import ServerState, make_strategy
from tests.server.coordinator.scripted_training import (
    JOB,
    START,
    ScriptedTrainer,
    federation,
    honest,
    join,
    run,
    weights_of,
)
from tests.server.in_process import InProcessFederation

__all__ = ["federation"]


def buffered(number: int, buffer_size: int, **rounds: Any) -> dict[str, Any]:
    return {
        "strategy": {"kind": "fedbuff", "buffer_size": buffer_size},
        "rounds": {"number": number, "deadline_s": 5, **rounds},
    }


async def test_rounds_go_on_while_a_node_is_slow_and_its_update_counts_when_it_comes(
    federation: InProcessFederation,
) -> None:
    two_rounds_done, never = asyncio.Event(), asyncio.Event()
    slow_waits, quick_waits = iter((two_rounds_done, never)), iter((None, None, never))

    async def wait_slow() -> None:
        await next(slow_waits).wait()

    async def wait_quick() -> None:
        if until := next(quick_waits):
            two_rounds_done.set()
            await until.wait()

    await join(federation, "slow", ScriptedTrainer(federation.url, honest(2.0), before=wait_slow))
    await join(federation, "quick", ScriptedTrainer(federation.url, honest(1.0), before=wait_quick))
    job = await run(federation, buffered(3, 1))
    assert job["state"] == "done", job
    assert [played["nodes"] for played in job["rounds"]] == [["quick"], ["quick"], ["slow"]]
    # the slow update began at round 0, so it is two steps old
    expected = 2 * 1.0 + 2.0 / (1 + 2) ** 0.5
    np.testing.assert_allclose((await weights_of(federation, job))["w"], expected, rtol=1e-5)


async def test_fewer_nodes_than_the_buffer_holds_still_make_rounds(federation: InProcessFederation) -> None:
    await join(federation, "a", ScriptedTrainer(federation.url, honest(1.0), num_examples=30))
    await join(federation, "b", ScriptedTrainer(federation.url, honest(-1.0), num_examples=10))
    job = await run(federation, buffered(2, 10))
    assert [played["nodes"] for played in job["rounds"]] == [["a", "b"]] * 2
    np.testing.assert_allclose((await weights_of(federation, job))["w"], 2 * (30 - 10) / 40)


async def test_a_liar_is_left_out_and_does_not_hold_up_the_buffer(federation: InProcessFederation) -> None:
    await join(federation, "a", ScriptedTrainer(federation.url, honest(1.0)))
    await join(federation, "liar", ScriptedTrainer(federation.url, lambda _: b"\x80\x04evil pickle"))
    job = await run(federation, buffered(2, 2))
    assert job["state"] == "done", job
    assert [played["nodes"] for played in job["rounds"]] == [["a"], ["a"]]
    np.testing.assert_allclose((await weights_of(federation, job))["w"], 2.0)


def test_the_simulation_plays_the_same_job_to_the_same_bits() -> None:
    job = JobSettings.model_validate({**JOB, **buffered(5, 2), "update": {}})

    def play() -> tuple[list[tuple[str, ...]], bytes]:
        results = list(BufferedSimulation(job, "abc", _scripted).run(make_strategy(job.strategy).init(START)))
        return [result.contributors for result in results], results[-1].state.to_bytes()

    contributors, content = play()
    assert len(contributors) == 5
    assert {name for names in contributors for name in names} == {"a", "b", "c"}
    assert play() == (contributors, content)


def _scripted(node_id: str, state: ServerState) -> Update:
    delta = {"w": np.full((2, 3), ord(node_id) / 100, np.float32)}
    return Update(node_id=node_id, round_num=state.round_num, delta=delta, num_examples=5)
