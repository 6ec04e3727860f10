"""A real node process, `frag node run`, and its operator: HTTP, command line, and one `kill -9`."""

import asyncio
import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import tomli_w

from server.node.local.client import address_of
from server.node.state import NodeFolder
from tests.retrievers.tiny_embedder import write_tiny_embedder
from tests.server.in_process import InProcessFederation, in_process

KEYS = "The porter keeps the brass keys behind the oak door."
ROOT = Path(__file__).resolve().parents[4]


def frag_node(folder: NodeFolder, *words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "server.cli", "node", *words, "--folder", str(folder.folder)]
    with (folder.folder / "log").open("a") as log:
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )


async def output_of(folder: NodeFolder, *words: str) -> str:
    process = frag_node(folder, *words)
    output, _ = await asyncio.to_thread(process.communicate, timeout=60)
    assert process.returncode == 0, (folder.folder / "log").read_text()
    return output


async def call(node: NodeFolder, method: str, path: str, **rest: Any) -> tuple[int, dict[str, Any]]:
    address = address_of(node)
    assert address
    headers = {"Authorization": f"Bearer {node.local_token.read_text()}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, address.url + path, **rest) as answer,
    ):
        return answer.status, await answer.json(content_type=None)


async def sources(federation: InProcessFederation) -> tuple[int, list[str]]:
    """How many sources a question finds, and why they were withheld."""
    _, said = await federation.ask(
        question="keys", answer_mode="none", retrieve_only=True, top_k=50, aggregation="best"
    )
    return sum(len(view["citations"]) for view in said["answered"]), [view["reason"] for view in said["withheld"]]


def withholds(federation: InProcessFederation) -> str | None:
    link = federation.state.registry.link("alpha")
    return link.ready.withholds if link else None


@pytest.mark.timeout(180)
async def test_a_node_and_its_operator(tmp_path: Path) -> None:
    began = datetime.now().astimezone().date()
    models = {"language_model": "none", "embedder": str(write_tiny_embedder(tmp_path / "embedder")), "threads": 1}
    async with in_process(tmp_path) as federation:
        node = await federation.enroll("alpha")
        settings = {
            "node_id": "alpha",
            "coordinator_url": federation.url,
            "models": models,
            "policy": {"answer_modes": ["none"], "min_evidence": -1},
            "collections": [{"name": "notes", "folder": "documents", "watch": True}],
        }
        node.settings_file.write_text(tomli_w.dumps(settings))
        (node.folder / "documents").mkdir(exist_ok=True)
        process = frag_node(node, "run")
        try:
            await federation.until(lambda: withholds(federation) == "", 60)
            for number in range(3):
                assert (await call(node, "PUT", f"/documents/notes/{number}.txt", data=f"{KEYS} {number}"))[0] == 201
            assert await sources(federation) == (3, [])
            assert (await call(node, "DELETE", "/documents/notes/0.txt"))[0] == 200
            assert "nothing leaves" in await output_of(node, "stop-release", "--reason", "audit")
            assert await sources(federation) == (0, ["release_stopped"])

            process.kill()
            process.communicate()
            assert address_of(node) is None
            await federation.until(lambda: withholds(federation) is None)
            process = frag_node(node, "run")
            await federation.until(lambda: withholds(federation) == "release_stopped", 60)
            assert await sources(federation) == (0, ["release_stopped"])
            _, listed = await call(node, "GET", "/documents")
            assert [d["document_id"] for d in listed["documents"]] == ["1.txt", "2.txt"]
            await call(node, "POST", "/release/resume", json={})
            await federation.until(lambda: withholds(federation) == "", 10)
            assert await sources(federation) == (2, [])

            forgotten, status = await asyncio.gather(
                output_of(node, "forget", "1.txt", "--json"), output_of(node, "status", "--json")
            )
            assert json.loads(forgotten)["documents"] == ["1.txt"]
            described = json.loads(status)
            assert described["release"] == {"stopped": False}
            left = described["today"]["others"]
            if datetime.now().astimezone().date() == began:  # who tests at midnight sees a part of it
                assert (left["sources"], left["stopped"], left["resumed"]) == (2, 1, 1)
            assert described["local"].startswith("http://127.0.0.1:")
        finally:
            process.kill()
            process.communicate()
