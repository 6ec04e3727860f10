"""Real nodes publish their profiles, and a routed question reaches one of them."""

import aiohttp
import pytest

from server.local_federation import LocalFederation
from tests.e2e.conftest import PLANTS


@pytest.mark.timeout(200)
async def test_a_routed_question_reaches_one_node(plants: LocalFederation) -> None:
    async def published() -> list[bytes]:
        await plants.wait_until(lambda body: all(n["has_profile"] for n in body["nodes"]), "/v1/nodes", 60)
        return [(plants.node(name).folder / "profile.json").read_bytes() for name in PLANTS]

    kept = await published()
    async with aiohttp.ClientSession() as session:
        body = await plants.ask(
            session, question="Who inspects the boiler?", route="top:1", retrieve_only=True, deadline_s=60
        )
    await plants.restart_node("far")
    again = await published()
    assert body["http_status"] == 200
    assert (len(body["answered"]), len(body["not_asked"])) == (1, 2)
    assert again == kept, "a restart draws no fresh noise"
