"""The coordinator's own public documents answer as one more node."""

from pathlib import Path

import aiohttp
import pytest

from frag.settings import ModelSettings
from server.local_federation import LocalFederation


@pytest.mark.timeout(180)
async def test_public_documents_answer_as_one_more_node(tmp_path: Path, real_models: ModelSettings) -> None:
    documents = tmp_path / "published"
    documents.mkdir()
    (documents / "law.md").write_text("The speed limit on the coastal road of Merrow is 70 kilometres per hour.")
    (documents / "broken.pdf").write_bytes(b"%PDF-1.7 this is not a PDF")
    settings = {"public_corpus": str(documents), "models": {"threads": 1}}
    async with LocalFederation(tmp_path / "run", settings=settings) as federation, aiohttp.ClientSession() as session:
        question = "What is the speed limit on the coastal road of Merrow?"
        for mode in ("scrub", "none"):
            body = await federation.ask(session, question=question, answer_mode=mode, deadline_s=60)
            assert body["http_status"] == 200
            assert "70" in body["answer"]
            assert [(a["node"], a["contributed"]) for a in body["answered"]] == [("public", True)]

        # they follow promotions, also over a restart
        headers = {"Authorization": f"Bearer {federation.api_key}"}
        template = {"name": "brief", "instruction": "Answer with a number and its unit, nothing else."}
        async with session.post(f"{federation.url}/v1/prompts", json=template, headers=headers) as made:
            version = (await made.json())["version"]
        async with session.post(f"{federation.url}/v1/prompts/{version}/promote", headers=headers) as promoted:
            assert (await promoted.json())["nodes"] == {"public": "live"}
        federation.kill("coordinator")
        federation.start_coordinator()
        await federation.wait_until(lambda body: body["status"] == "ok", "/healthz")
        body = await federation.ask(session, question=question, deadline_s=60)
        assert body["answered"][0]["prompt_version"] == version
