"""Accepted corrections lead to a round by themselves; a flood of bad ones leads to nothing."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from server.coordinator.auth import hash_api_key, new_api_key
from tests.server.coordinator.standing.test_standing import EVERY, Learner, better, decided, quicken
from tests.server.in_process import in_process
from tests.server.node.feedback.silo import BOILER, CRANE, silo

NUM_CORRECTIONS = 30
STANDING = {"min_nodes": 1, "min_new_examples": NUM_CORRECTIONS, "cooldown_s": 0}


async def test_thirty_trusted_corrections_start_a_run_and_a_flood_from_another_key_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quicken(monkeypatch)
    async with AsyncExitStack() as stack:
        inner = await stack.enter_async_context(in_process(tmp_path))
        expert = inner.state.feedback._pseudonym("plant", "expert").hex()
        learner = Learner(inner.url, 1.0, better)
        place = await inner.enroll("plant")
        trusts = {"accept": "trusted", "trusted": [expert], "per_key_per_day": 2 * NUM_CORRECTIONS}
        documents = {"boiler.txt": BOILER, "crane.txt": CRANE}
        node = await stack.enter_async_context(
            silo(place, documents, federation=inner, trainer=learner, feedback=trusts)
        )
        keys = {}
        for label in ("flooder", "expert"):
            keys[label] = new_api_key()
            await inner.state.database.add_key(label, hash_api_key(keys[label]), frozenset({"query"}))

        async def correct(label: str, number: int) -> None:
            question = {"question": f"When is boiler {number} of the north plant inspected?", "answer_mode": "none"}
            _, said = await inner.post("/v1/query", question, keys[label])
            body = {"rating": "down", "correction": f"Answer {number}"}
            status, taken = await inner.post(f"/v1/query/{said['query_id']}/feedback", body, keys[label])
            assert (status, taken["taken"]) == (200, ["plant"])

        rounds = {**EVERY["rounds"], "min_replies": 1}
        job = {**EVERY, "dataset": "feedback", "rounds": rounds, "standing": STANDING}
        assert (await inner.post("/v1/jobs", job))[0] == 201
        for number in range(NUM_CORRECTIONS):
            await correct("flooder", number)
        await asyncio.sleep(0.3)
        assert node.num_examples() == 0
        assert await decided(inner, 0) == []
        for number in range(NUM_CORRECTIONS):
            await correct("expert", number)
        (entry,) = await decided(inner, 1)
        assert (entry["event"], entry["cause"]) == ("promoted", "new_examples")
        assert node.num_examples() == NUM_CORRECTIONS
        assert learner.version == entry["version"]
