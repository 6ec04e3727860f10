"""The site builds without a warning, asks nobody else for anything, and its reference is current."""

import os
import re
import subprocess
import sys
from pathlib import Path

from server.settings_reference import reference

ROOT = Path(__file__).parents[2]


def test_the_settings_reference_is_current_and_complete() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    assert page == reference(), "run `frag settings --write docs/settings.md`"
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
    assert {"index.html", "tutorial.html", "faq.html", "benchmarks.html", "threat-model.html"} <= {
        p.name for p in pages
    }
    loaded = re.compile(
        r"<(?:script|img|iframe)[^>]+src=\"(?:https?:)?//|<link[^>]+rel=\"stylesheet\"[^>]+href=\"https?:"
    )
    assert [page.name for page in pages if loaded.search(page.read_text())] == []


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
