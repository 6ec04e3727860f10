"""Feedback over real processes: from the asker to a node's operator, and into what the node offers for training."""

import asyncio

import pytest

from frag.client import Client
from server.local_federation import LocalFederation
from server.node.local.client import call

pytestmark = pytest.mark.asyncio(loop_scope="session")
RIGHT = "Every Monday, and after each storm."


@pytest.mark.timeout(200)
async def test_a_correction_becomes_an_example_that_a_running_node_offers(plants: LocalFederation) -> None:
    async with Client(plants.url, plants.api_key) as client:
        answer = await client.ask("When is the boiler of the east plant inspected?", deadline_s=100)
        (node,) = [view.node for view in answer.answered if view.contributed]
        assert (await client.feedback(answer, "down", RIGHT)).taken == [node]
        folder = plants.node(node)
        (held,) = (await asyncio.to_thread(call, folder, "GET", "/feedback"))["feedback"]
        assert (held["state"], held["correction"]) == ("pending", RIGHT)
        decided = await asyncio.to_thread(call, folder, "POST", "/feedback/accept", {"ids": [held["remark_id"]]})
        assert decided["num_examples"] == 1
        async with asyncio.timeout(20):
            while not any("feedback" in info.datasets for info in await client.nodes()):
                await asyncio.sleep(0.2)
        await asyncio.to_thread(call, folder, "POST", "/feedback/reject", {"key": held["key"]})
        (held,) = (await asyncio.to_thread(call, folder, "GET", "/feedback"))["feedback"]
        assert (held["state"], held["correction"]) == ("rejected", "")
