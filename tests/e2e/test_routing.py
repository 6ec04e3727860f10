"""Real nodes publish their profiles, and a routed question reaches one of them."""

from pathlib import Path

import aiohttp
import pytest

from frag.settings import ModelSettings
from tests.e2e.conftest import silos

DOCUMENTS = {
    "clinic": {"heart.txt": "Beta blockers lower the blood pressure and slow the heart."},
    "club": {"cup.txt": "The final of the football championship was decided by a late goal."},
}


@pytest.mark.timeout(200)
async def test_a_routed_question_reaches_one_node(tmp_path: Path, real_models: ModelSettings) -> None:
    del real_models
    async with silos(tmp_path, DOCUMENTS) as federation, aiohttp.ClientSession() as session:
        await federation.wait_until(lambda body: all(n["has_profile"] for n in body["nodes"]), "/v1/nodes", 60)
        kept = [(federation.node(name).folder / "profile.json").read_bytes() for name in DOCUMENTS]
        body = await federation.ask(
            session, question="Who won the final?", route="top:1", retrieve_only=True, deadline_s=60
        )
        await federation.restart_node("club")
        await federation.wait_until(lambda body: all(n["has_profile"] for n in body["nodes"]), "/v1/nodes", 60)
        again = [(federation.node(name).folder / "profile.json").read_bytes() for name in DOCUMENTS]
    assert body["http_status"] == 200
    assert len(body["answered"]) == len(body["not_asked"]) == 1
    assert again == kept, "a restart draws no fresh noise"
