"""Real processes, killed with SIGKILL: the others answer, and what died comes back by itself."""

import asyncio
import time

import aiohttp
import pytest

from server.local_federation import LocalFederation
from tests.e2e.conftest import PLANTS

QUESTION = "On which day is the boiler of the plant inspected?"


@pytest.mark.timeout(240)
async def test_kills_are_survived(plants: LocalFederation) -> None:
    async with aiohttp.ClientSession() as session:
        whole = await plants.ask(session, question=QUESTION, deadline_s=60)
        assert len(whole["answered"]) == 3, whole

        # a node dies in mid-question: the others answer within the deadline, it is named
        started = time.monotonic()
        asking = asyncio.create_task(plants.ask(session, question=QUESTION, deadline_s=30))
        await asyncio.sleep(0.05)
        plants.kill("mid")
        partial = await asking
        assert time.monotonic() - started < 30
        assert partial["http_status"] == 200
        assert partial["answer"]
        assert sorted(a["node"] for a in partial["answered"]) == ["east", "far"]
        assert [f["node"] for f in partial["failed"]] == ["mid"]
        assert partial["failed"][0]["code"] in {"disconnected", "not_connected"}

        # after its restart it answers again, and nobody did anything else
        plants.start_node("mid")
        await plants.wait_for_nodes(["mid"], within_s=60)
        again = await plants.ask(session, question=QUESTION, deadline_s=60)
        assert len(again["answered"]) == 3

        # the coordinator dies and is restarted: nodes come back within 10 s
        plants.kill("coordinator")
        plants.start_coordinator()
        await plants.wait_until(lambda body: body["status"] == "ok", "/healthz", within_s=60)
        started = time.monotonic()
        await plants.wait_for_nodes(list(PLANTS), within_s=10)
        assert time.monotonic() - started < 10
        after = await plants.ask(session, question=QUESTION, deadline_s=60)
        assert len(after["answered"]) == 3
