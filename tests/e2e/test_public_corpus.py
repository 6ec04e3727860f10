"""The coordinator's own public documents answer as one more node."""

from pathlib import Path

import aiohttp
import pytest

from frag.settings import ModelSettings
from server.local_federation import LocalFederation


@pytest.mark.timeout(180)
async def test_public_documents_answer_as_the_node_public(tmp_path: Path, real_models: ModelSettings) -> None:
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
