"""Feedback from the command line: the asker's, and the node operator's."""

import asyncio
import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from frag.errors import FragError
from frag.roster import Roster, save_roster
from server.cli import app
from server.wire.identity import public_bytes
from tests.server.node.feedback.silo import Silo
from tests.server.node.feedback.test_travelling import RIGHT, asked, federation

runner = CliRunner()


async def run(*arguments: str) -> str:
    done = await asyncio.to_thread(runner.invoke, app, list(arguments))
    if isinstance(done.exception, FragError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def signed_roster(file: Path, silos: dict[str, Silo]) -> str:
    operator = Ed25519PrivateKey.generate()
    public = public_bytes(operator).hex()
    nodes = {name: public_bytes(node.seals.identity).hex() for name, node in silos.items()}
    save_roster(Roster(federation="test", nodes=nodes, operators={"ops": public}).signed("ops", operator), file)
    return public


async def test_from_the_askers_command_to_the_operators_decision(tmp_path: Path) -> None:
    async with federation(tmp_path, "a") as (inner, silos):
        said, where = await asked(inner), ("--url", inner.url, "--key", inner.api_key)
        shown = await run("feedback", said["query_id"], "--down", "--correction", RIGHT + "\x1b[2J", *where)
        assert shown.endswith("taken by a\n")
        folder = ("--folder", str(silos["a"].folder.folder))
        listed = await run("node", "feedback", "list", *folder)
        assert "pending  down" in listed
        assert RIGHT in " ".join(listed.split())
        assert "\x1b[2J" not in listed, "a stranger's text does not steer the terminal"
        (held,) = json.loads(await run("node", "feedback", "list", "--json", *folder))["feedback"]
        accepted = await run("node", "feedback", "accept", str(held["remark_id"]), *folder)
        assert accepted.endswith(f"{held['remark_id']}: accepted\nthe data set feedback holds 1 examples\n")
        await run("node", "feedback", "reject", "--all-from", held["key"], "--json", *folder)
        assert silos["a"].num_examples() == 0
        assert "rejected" in await run("node", "feedback", "list", *folder)
        unknown = await asyncio.to_thread(runner.invoke, app, ["node", "feedback", "accept", "999", *folder])
        assert (unknown.exit_code, unknown.output.splitlines()[0]) == (2, "999: not found")


async def test_with_a_roster_it_is_sealed_at_the_asker(tmp_path: Path) -> None:
    async with federation(tmp_path, "a") as (inner, silos):
        said, roster = await asked(inner), tmp_path / "roster.json"
        operator = signed_roster(roster, silos)
        shown = await run(
            "feedback", said["query_id"], "--up", "--node", "a", "--json", "--roster", str(roster),
            "--operator", operator, "--asker-key", str(tmp_path / "asker.key"),
            "--url", inner.url, "--key", inner.api_key,
        )  # fmt: skip
        assert json.loads(shown.splitlines()[-1]) == {"taken": ["a"], "failed": {}}
        assert [held.rating for held in await silos["a"].feedback.listed(10)] == [1]


async def test_the_local_api_asks_for_either_numbers_or_a_key(tmp_path: Path) -> None:
    async with federation(tmp_path, "a") as (inner, silos):
        place = silos["a"].folder
        token, url = place.local_token.read_text(), json.loads(place.local_address.read_bytes())["url"]
        headers = {"Authorization": f"Bearer {token}"}
        for body in ({}, {"ids": [1], "key": "0" * 32}, {"key": "everybody"}):
            async with inner.session.post(f"{url}/feedback/accept", json=body, headers=headers) as answer:
                assert answer.status == 422
        async with inner.session.get(f"{url}/feedback") as answer:
            assert answer.status == 401
