"""A node's metrics show what its ledger says, when they are scraped."""

from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
import tomli_w

from frag.privacy.accounting import epsilon_of_rho
from frag.privacy.ledger import Ledger
from frag.types import AnswerMode
from server.local_federation import free_port
from server.node.state import NodeFolder
from server.node.watching import open_watch
from tests.server.telemetry.collector import samples


class Describes:
    def describe(self) -> tuple[tuple[AnswerMode, ...], str, int]:
        return (AnswerMode.DP,), "null", 3


async def test_spent_epsilon_is_that_of_the_ledger(tmp_path: Path) -> None:
    port = free_port()
    folder = NodeFolder(tmp_path)
    content = {"node_id": "a", "coordinator_url": "http://127.0.0.1:1", "telemetry": {"metrics_port": port}}
    folder.settings_file.write_text(tomli_w.dumps(content))
    ledger = Ledger.open(folder.ledger)
    ledger.charge({"patients/one": "patients", "patients/two": "patients"}, 0.02, 1.0)
    ledger.charge({"patients/one": "patients"}, 0.02, 1.0)
    ledger.close()
    async with AsyncExitStack() as stack, aiohttp.ClientSession() as session:
        await open_watch(stack, folder, folder.settings(), Describes())  # type: ignore[arg-type]
        async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            metrics = samples(await answer.read())
    assert metrics["frag_node_epsilon_spent", ("patients",)] == pytest.approx(epsilon_of_rho(0.04, 1e-5), rel=1e-6)
    assert metrics["frag_node_epsilon_budget", ()] == 8.0
    assert metrics["frag_node_documents", ()] == 3
