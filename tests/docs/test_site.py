"""The site builds without a warning, asks nobody else for anything, and its reference is current."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from server.references import pages

ROOT = Path(__file__).parents[2]


def test_pages_made_from_the_program_are_current() -> None:
    stale = [name for name, page in pages().items() if (ROOT / "docs" / name).read_text() != page]
    assert stale == [], "run `python -m server.references docs`"


def test_the_references_leave_nothing_out() -> None:
    commands = (ROOT / "docs" / "cli.md").read_text()
    for heading in ("## frag ask", "## frag node stop-release", "## frag coordinator key add", "## frag eval rag"):
        assert f"{heading}\n" in commands
    assert "| `--min-support` | whole number, ≥ 2 | `2` | Mode consensus: operators" in commands
    api = (ROOT / "docs" / "api.md").read_text()
    for words in ("`POST /v1/query`", "### QueryRequest", "`stream(question: str", "### class SyncClient"):
        assert words in api
    rows = [line for line in commands.splitlines() if line.startswith("| `")]
    unsaid = [row for row in rows if not re.split(r"(?<!\\)\|", row)[4].strip()]
    assert unsaid == [], "an option without a word of help"


def test_the_settings_reference_is_complete() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    assert [row[0] for row in rows if not row[4].strip()] == []


def test_the_site_is_built_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pages = list((tmp_path / "site").glob("*.html"))
    expected = {
        "index.html",
        "tutorial.html",
        "faq.html",
        "benchmarks.html",
        "threat-model.html",
        "api.html",
        "cli.html",
    }
    assert expected <= {page.name for page in pages}
    loaded = re.compile(
        r"<(?:script|img|iframe)[^>]+src=\"(?:https?:)?//|<link[^>]+rel=\"stylesheet\"[^>]+href=\"https?:"
    )
    assert [page.name for page in pages if loaded.search(page.read_text())] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed(shell: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "_FRAG_COMPLETE": f"source_{shell}"}
    command = [sys.executable, "-c", "import sys; sys.argv = ['frag']; from server.cli import main; main()"]
    script = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert f"_FRAG_COMPLETE=complete_{shell}" in script
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=script, text=True, check=False).returncode == 0


def test_shell_completion_knows_the_commands() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "_FRAG_COMPLETE": "complete_bash"}
    environment |= {"COMP_WORDS": "frag do", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['frag']; from server.cli import main; main()"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["doctor"]
