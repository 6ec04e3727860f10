"""`frag ask --sealed` over real processes: an answer, and nothing of it at the coordinator's door."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.roster import Roster, save_roster
from frag.settings import ModelSettings
from server.local_federation import free_port
from server.wire import identity
from tests.e2e.capture import capturing_relay
from tests.e2e.conftest import silos

DOCUMENTS = {
    "lakeview": {"fridge.txt": "The measles vaccine is kept in the blue fridge in room forty-one of the clinic."},
    "hillcrest": {"visits.txt": "Visitors leave the ward at eight in the evening. Parents may stay overnight."},
}
QUESTION = "Where is the measles vaccine kept?"


@pytest.mark.timeout(280)
async def test_an_answer_comes_back_through_a_coordinator_that_reads_nothing(
    tmp_path: Path, real_models: ModelSettings
) -> None:
    import asyncio

    port = free_port()
    async with capturing_relay(port) as capture, silos(tmp_path, DOCUMENTS, capture.port, port) as federation:
        operator = Ed25519PrivateKey.generate()
        public = identity.public_bytes(operator).hex()
        nodes = {
            name: identity.public_bytes(federation.node(name).peer(federation.node(name).settings()).key).hex()
            for name in DOCUMENTS
        }
        roster = Roster(federation="test", nodes=nodes, operators={"ops": public}).signed("ops", operator)
        save_roster(roster, tmp_path / "roster.json")

        def ask(*options: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "server.cli", "ask", QUESTION, "--sealed", "--json"]
            command += ["--url", f"http://127.0.0.1:{capture.port}", "--key", federation.api_key, "--deadline", "100"]
            environment = {**os.environ, "FRAG_ASKER_KEY": str(tmp_path / "asker.key")}
            return subprocess.run(
                [*command, *options], capture_output=True, text=True, env=environment, check=False, timeout=150
            )

        pinned = ("--roster", str(tmp_path / "roster.json"), "--operator", public)
        answered = await asyncio.to_thread(ask, *pinned)
        looked_up = await asyncio.to_thread(ask, *pinned, "--retrieve-only")
        refused = await asyncio.to_thread(ask)
        forged = await asyncio.to_thread(ask, "--roster", str(tmp_path / "roster.json"), "--operator", "00" * 32)

    assert answered.returncode == 0, answered.stderr
    response = json.loads(answered.stdout)
    assert "fridge" in response["answer"] or "room" in response["answer"]
    assert {view["node"] for view in response["answered"]} >= {"lakeview"}
    sources = json.loads(looked_up.stdout)
    assert sources["answer"] is None
    assert all(view["citations"] for view in sources["answered"])
    assert (refused.returncode, forged.returncode) == (5, 5)
    crossed = capture.raw() + b"".join(capture.payloads())
    assert crossed.count(b"sealed_ask") >= 4
    for text in (QUESTION, response["answer"], "measles", sources["answered"][0]["citations"][0]["document"]):
        assert text.encode() not in crossed
