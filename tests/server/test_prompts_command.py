"""`frag prompts promote`: a person is asked and sees what changes; a script is not."""

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from server.cli import app
from server.commands import prompts
from tests.server.in_process import InProcessFederation, in_process


async def promote(federation: InProcessFederation, version: str, *words: str, says: str = "") -> "Result":
    arguments = ["prompts", "promote", version, "--url", federation.url, "--key", federation.api_key, *words]
    return await asyncio.to_thread(CliRunner().invoke, app, arguments, input=says)


async def live(federation: InProcessFederation) -> str:
    return str((await federation.get("/v1/prompts"))[1]["live"])


async def test_a_person_is_asked_and_a_script_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with in_process(tmp_path) as federation:
        made = [
            (await federation.post("/v1/prompts", {"name": name, "instruction": "Be brief."}))[1]["version"]
            for name in ("first", "second")
        ]
        assert (await promote(federation, made[0])).exit_code == 0, "there is no terminal here"
        assert await live(federation) == made[0]
        monkeypatch.setattr(prompts, "_is_terminal", lambda: True)
        refused = await promote(federation, made[1], says="n\n")
        assert refused.exit_code == 1
        assert f"live now:    {made[0]} (template): nothing was measured" in refused.output
        assert f"to be live:  {made[1]} (template): nothing was measured" in refused.output
        assert await live(federation) == made[0]
        assert (await promote(federation, made[1], says="y\n")).exit_code == 0
        assert await live(federation) == made[1]
        unasked = await promote(federation, "none", "--yes")
        assert (unasked.exit_code, unasked.output) == (0, "live: the model as it is\n")
        unknown = await promote(federation, "nothing", says="y\n")
        assert unknown.exception is not None
        assert "Make it live" not in unknown.output
