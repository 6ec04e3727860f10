"""A real node process with a model of a few kilobytes: what it acknowledged survives `kill -9`."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from server.local_federation import LocalFederation
from server.node.local.client import address_of
from tests.retrievers.tiny_embedder import write_tiny_embedder

KEYS = "The porter keeps the brass keys behind the oak door."
ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
async def federation(tmp_path: Path) -> AsyncIterator[LocalFederation]:
    models = {"language_model": "none", "embedder": str(write_tiny_embedder(tmp_path / "embedder")), "threads": 1}
    async with LocalFederation(tmp_path / "federation", settings={"models": models}) as made:
        settings = {
            "models": models,
            "policy": {"answer_modes": ["none"], "min_evidence": -1},
            "collections": [{"name": "notes", "folder": "documents", "watch": True}],
        }
        await made.add_node("alpha", settings)
        (made.node("alpha").folder / "documents").mkdir()
        made.start_node("alpha")
        await made.wait_for_nodes(["alpha"])
        yield made


async def call(federation: LocalFederation, method: str, path: str, **rest: Any) -> tuple[int, dict[str, Any]]:
    node = federation.node("alpha")
    address = address_of(node)
    assert address
    headers = {"Authorization": f"Bearer {node.local_token.read_text()}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, address.url + path, **rest) as answer,
    ):
        return answer.status, await answer.json(content_type=None)


async def aliases(federation: LocalFederation, session: aiohttp.ClientSession) -> set[str]:
    said = await federation.ask(session, question="keys", answer_mode="none", retrieve_only=True, top_k=50)
    return {c["document"] for view in said["answered"] for c in view["citations"]} if "answered" in said else set()


def command(federation: LocalFederation, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "server.cli", "node", *words, "--folder", str(federation.node("alpha").folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.timeout(180)
async def test_a_node_and_its_operator(federation: LocalFederation) -> None:
    """Documents by HTTP, the switch by the command line, one `kill -9` after all of it."""
    node = federation.node("alpha")
    async with aiohttp.ClientSession() as session:
        for number in range(3):
            assert (await call(federation, "PUT", f"/documents/notes/{number}.txt", data=f"{KEYS} {number}"))[0] == 201
        assert len(await aliases(federation, session)) == 3
        assert (await call(federation, "DELETE", "/documents/notes/0.txt"))[0] == 200
        stopped = await asyncio.to_thread(command, federation, "stop-release", "--reason", "audit")
        assert "nothing leaves" in stopped.stdout, stopped.stderr
        said = await federation.ask(session, question="keys", answer_mode="none", retrieve_only=True)
        assert [w["reason"] for w in said["withheld"]] == ["release_stopped"]

        federation.kill("alpha")
        assert address_of(node) is None
        federation.start_node("alpha")
        await federation.wait_until(lambda body: body["nodes"][0]["withholds"] == "release_stopped", "/v1/nodes", 60)
        said = await federation.ask(session, question="keys", answer_mode="none", retrieve_only=True)
        assert [w["reason"] for w in said["withheld"]] == ["release_stopped"]
        _, listed = await call(federation, "GET", "/documents")
        assert [d["document_id"] for d in listed["documents"]] == ["1.txt", "2.txt"]
        await call(federation, "POST", "/release/resume", json={})
        await federation.wait_until(lambda body: body["nodes"][0]["withholds"] == "", "/v1/nodes", 10)
        assert len(await aliases(federation, session)) == 2

    forgotten, status = await asyncio.gather(
        asyncio.to_thread(command, federation, "forget", "1.txt", "--json"),
        asyncio.to_thread(command, federation, "status", "--json"),
    )
    assert json.loads(forgotten.stdout)["documents"] == ["1.txt"]
    described = json.loads(status.stdout)
    assert (described["release"], described["today"]["others"]) == (
        {"stopped": False},
        {"sources": 2, "stopped": 1, "resumed": 1, "profile": 1} | described["today"]["others"],
    )
    assert described["local"].startswith("http://127.0.0.1:")
