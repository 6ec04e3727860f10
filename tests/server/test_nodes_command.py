"""`frag nodes`, and what commands say where there is nothing to show."""

import asyncio
import json
from pathlib import Path

import msgspec
from typer.testing import CliRunner, Result

from server.cli import app
from tests.server.in_process import InProcessFederation, in_process, says


async def run(federation: InProcessFederation, *words: str) -> Result:
    arguments = [*words, "--url", federation.url, "--key", federation.api_key]
    return await asyncio.to_thread(CliRunner().invoke, app, arguments)


async def test_nodes_are_listed_with_what_they_allow_and_whether_they_are_there(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        assert "frag coordinator token" in (await run(federation, "nodes")).output
        await federation.join("clinic-a", says("yes"))
        await federation.join("clinic-b", says("yes"))
        await federation.join("clinic-c", says("yes"))
        await federation.leave("clinic-c")
        await federation.until(lambda: federation.state.registry.link("clinic-c") is None)
        link = federation.state.registry.link("clinic-b")
        link._ready = msgspec.structs.replace(link.ready, withholds="release_stopped")  # type: ignore[union-attr]
        shown = (await run(federation, "nodes")).output.splitlines()[1:]
        listed = json.loads((await run(federation, "nodes", "--json")).output)["nodes"]
        unknown = await run(federation, "ask", "How long?", "--node", "nobody")
    assert [line.split("  ")[0] for line in shown] == ["clinic-a", "clinic-b", "clinic-c"]
    assert all(
        word in line for word, line in zip(("connected", "release stopped", "not connected"), shown, strict=True)
    )
    assert "none, scrub, consensus, dp" in shown[0]
    assert [(node["node"], node["connected"], node["withholds"]) for node in listed] == [
        ("clinic-a", True, ""),
        ("clinic-b", True, "release_stopped"),
        ("clinic-c", False, ""),
    ]
    assert "not enrolled" in str(unknown.exception)


async def test_where_there_is_nothing_the_next_step_is_said(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        assert "frag train" in (await run(federation, "jobs", "list")).output
        assert "frag train" in (await run(federation, "prompts", "list")).output
