"""The tutorial's commands, literally, with real processes; only the port is one that is free."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from frag.settings import ModelSettings
from server.local_federation import free_port

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```bash test\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    return _BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text())


def _frag(folder: Path) -> Path:
    """A folder with the command `frag` of this checkout."""
    folder.mkdir()
    command = folder / "frag"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m server.cli "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    return folder


@pytest.mark.timeout(300)
def test_whoever_follows_it_ends_with_an_answer(tmp_path: Path, real_models: ModelSettings) -> None:
    blocks = commands()
    assert len(blocks) == 6
    port = str(free_port())
    script = "set -eu\n" + "\necho ----\n".join(blocks).replace("8470", port)
    environment = {
        **os.environ,
        "PATH": f"{_frag(tmp_path / 'bin')}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "FRAG_URL": f"http://127.0.0.1:{port}",
        "FRAG_NODE_MODELS__THREADS": "1",
    }
    work = tmp_path / "work"
    work.mkdir()
    process = subprocess.Popen(
        ["bash", "-c", script],
        cwd=work,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = _until_done(process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, out + err
    asked = out.split("----")[4]
    assert "four" in asked.lower(), asked
    assert "✗" not in out.split("----")[5]
    _check_logs(work)


def _until_done(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Output of the script. Its servers hold the streams open, so they are ended before the rest is read."""
    process.wait(timeout=280)
    os.killpg(process.pid, signal.SIGTERM)
    return process.communicate(timeout=15)


def _check_logs(work: Path) -> None:
    """Every line is an object that can be found by its request, and none holds text of question, document or answer."""
    for name in ("coordinator", "harbour", "castle", "museum"):
        text = (work / f"{name}.log").read_text()
        lines = [json.loads(line) for line in text.splitlines()]
        assert lines
        assert not [word for word in ("ferry", "pier", "minutes", "morning", "ship models") if word in text.lower()]
    (query,) = [line for line in _lines(work / "coordinator.log") if line["event"] == "query"]
    assert query["request_id"]
    assert query["trace_id"]


def _lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
