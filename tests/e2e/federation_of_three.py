"""Three nodes and a coordinator as processes, for clients of every kind. The coordinator's model is the real one."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.local_federation import LocalFederation

QUESTION = "Which clinic offers Zanoril and what is the dose of Zanoril?"
ANSWERS = {
    "north": "The Hillside clinic offers Zanoril.",
    "south": "The dose of Zanoril is 40 mg twice a day.",
    "west": "Zanoril needs a referral by a doctor.",
}
FACTS = ("Hillside", "40 mg", "referral")


async def _started(federation: LocalFederation) -> None:
    await federation.__aenter__()
    for node_id, text in ANSWERS.items():
        await federation.add_node(node_id, {})
        federation._start(node_id, ["tests.e2e.scripted_node", str(federation.node(node_id).folder), text])
    await federation.wait_for_nodes(list(ANSWERS))


@contextmanager
def federation_of_three(folder: Path) -> Iterator[LocalFederation]:
    """Blocking; for tests without a loop of their own."""
    federation = LocalFederation(folder, settings={"models": {"threads": 1}})
    try:
        asyncio.run(_started(federation))
        yield federation
    finally:
        asyncio.run(federation.stop())
