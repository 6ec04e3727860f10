"""Mode `dp` over real processes and models: a budget that outlives the node, and nothing else that is told."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from frag.privacy.ledger import Ledger
from frag.settings import ModelSettings
from retrievers.store import DocumentStore
from server.local_federation import LocalFederation
from server.node.assembly import load_embedder

QUESTION = "Who keeps the keys of the house?"
NOTES = {f"p{number}/note.txt": f"Miriam keeps the keys of house {number}." for number in range(3)}


@pytest.mark.timeout(240)
async def test_a_budget_is_spent_once_and_outlives_the_node(tmp_path: Path, real_models: ModelSettings) -> None:
    async with LocalFederation(tmp_path / "run") as federation, aiohttp.ClientSession() as session:
        node = federation.node("alpha")
        documents = node.folder / "notes"
        await federation.add_node(
            "alpha",
            {
                "models": {"threads": 1},
                "policy": {"answer_modes": ["dp"], "dp": {"questions": 1, "tokens": 6, "epsilon": 2.0}},
                "collections": [{"name": "notes", "folder": "notes", "unit": "^(p[0-9]+)/"}],
            },
        )
        for name, text in NOTES.items():
            (documents / name).parent.mkdir(parents=True)
            (documents / name).write_text(text)
        embedder = await asyncio.to_thread(load_embedder, real_models, one_by_one=True)
        with DocumentStore.open(node.index / "notes", embedder) as store:
            store.ingest([documents])
        federation.start_node("alpha")
        await federation.wait_for_nodes(["alpha"])

        first = await federation.ask(session, question=QUESTION, answer_mode="dp", deadline_s=60)
        assert first["http_status"] == 200
        assert first["answer"]
        (released,) = first["answered"]
        assert (released["epsilon"], released["delta"]) == (2.0, 1e-5)
        assert (released["citations"], released["timings"], released["redactions"]) == ([], {}, {})
        spent = [Ledger.open(node.ledger).spent_by(f"person:p{number}") for number in range(3)]
        assert min(spent) > 0

        await federation.restart_node("alpha")
        second = await federation.ask(session, question=QUESTION, answer_mode="dp", deadline_s=60)
        assert second["answer"], "an answer always comes"
        assert [Ledger.open(node.ledger).spent_by(f"person:p{number}") for number in range(3)] == spent

        looked_up = await federation.ask(session, question=QUESTION, answer_mode="dp", retrieve_only=True)
        assert looked_up["withheld"] == [{"node": "alpha", "reason": "not_under_dp"}]
        scrubbed = await federation.ask(session, question=QUESTION)
        assert scrubbed["withheld"] == [{"node": "alpha", "reason": "mode_not_allowed"}]
        headers = {"Authorization": f"Bearer {federation.api_key}"}
        async with session.get(f"{federation.url}/v1/nodes", headers=headers) as listed:
            (view,) = (await listed.json())["nodes"]
        assert (view["answer_modes"], view["num_documents"]) == (["dp"], 0)
