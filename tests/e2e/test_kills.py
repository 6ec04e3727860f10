"""Real processes, killed with SIGKILL: the others answer, and what died comes back by itself."""

import asyncio
import time
from pathlib import Path

import aiohttp
import pytest

from frag.settings import ModelSettings
from tests.e2e.conftest import silos

FACT = "The boiler of the {} plant is inspected every {} by the safety engineer."
DOCUMENTS = {
    "east": {"a.md": FACT.format("East", "Monday")},
    "mid": {"a.md": FACT.format("Mid", "Wednesday")},
    "far": {"a.md": FACT.format("Far", "Friday")},
}
QUESTION = "On which day is the boiler of the plant inspected?"


@pytest.mark.timeout(240)
async def test_kills_are_survived(tmp_path: Path, real_models: ModelSettings) -> None:
    async with silos(tmp_path, DOCUMENTS) as federation, aiohttp.ClientSession() as session:
        whole = await federation.ask(session, question=QUESTION, deadline_s=60)
        assert len(whole["answered"]) == 3, whole

        # a node dies in mid-question: the others answer within the deadline, it is named
        started = time.monotonic()
        asking = asyncio.create_task(federation.ask(session, question=QUESTION, deadline_s=30))
        await asyncio.sleep(0.05)
        federation.kill("mid")
        partial = await asking
        assert time.monotonic() - started < 30
        assert partial["http_status"] == 200
        assert partial["answer"]
        assert sorted(a["node"] for a in partial["answered"]) == ["east", "far"]
        assert [f["node"] for f in partial["failed"]] == ["mid"]
        assert partial["failed"][0]["code"] in {"disconnected", "not_connected"}

        # after its restart it answers again, and nobody did anything else
        federation.start_node("mid")
        await federation.wait_for_nodes(["mid"], within_s=60)
        again = await federation.ask(session, question=QUESTION, deadline_s=60)
        assert len(again["answered"]) == 3

        # the coordinator dies and is restarted: nodes come back within 10 s
        federation.kill("coordinator")
        federation.start_coordinator()
        await federation.wait_until(lambda body: body["status"] == "ok", "/healthz", within_s=60)
        started = time.monotonic()
        await federation.wait_for_nodes(list(DOCUMENTS), within_s=10)
        assert time.monotonic() - started < 10
        after = await federation.ask(session, question=QUESTION, deadline_s=60)
        assert len(after["answered"]) == 3
