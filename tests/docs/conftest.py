"""The tutorial, followed once: its commands run literally, and the federation that they leave serves other pages."""

import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from frag.settings import ModelSettings
from server.local_federation import free_port
from tests.docs.commands import ROOT

_BLOCK = re.compile(r"^```bash test\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Followed:
    """What following the tutorial left: `parts` is what each block printed, `folder` where the federation lies."""

    folder: Path
    port: str
    parts: list[str]
    environment: dict[str, str] = field(repr=False)

    def shell(self, script: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Runs a block of another page in the same folder, against the same federation."""
        return subprocess.run(
            ["bash", "-eu", "-c", script.replace("8470", self.port)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )


def tutorial_blocks() -> list[str]:
    return _BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text())


@pytest.fixture(scope="session")
def followed(tmp_path_factory: pytest.TempPathFactory, real_models: ModelSettings) -> Iterator[Followed]:
    base = tmp_path_factory.mktemp("tutorial")
    port = str(free_port())
    environment = {
        **os.environ,
        "PATH": f"{_frag(base / 'bin')}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(base),
        "FRAG_HOME": os.environ.get("FRAG_HOME", str(Path.home() / ".cache" / "frag")),
        "FRAG_URL": f"http://127.0.0.1:{port}",
        "FRAG_NODE_MODELS__THREADS": "1",
    }
    work = base / "work"
    work.mkdir()
    script = "set -eu\n" + "\necho ----\n".join(tutorial_blocks()).replace("8470", port) + "\necho $FRAG_API_KEY"
    with (base / "out").open("w") as out, (base / "err").open("w") as err:
        process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=work,
            env=environment,
            stdout=out,
            stderr=err,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        process.wait(timeout=280)
        told = (base / "out").read_text()
        assert process.returncode == 0, told + (base / "err").read_text()
        *lines, key = told.strip().splitlines()
        yield Followed(work, port, "\n".join(lines).split("----"), {**environment, "FRAG_API_KEY": key})
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def _frag(folder: Path) -> Path:
    """A folder with the command `frag` of this checkout."""
    folder.mkdir()
    command = folder / "frag"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m server.cli "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    return folder
