"""The commands of README, guides and reference pages run, against the federation that the tutorial left.

What is complete and quick runs as it stands; what takes minutes, waits for a signal or needs data sets is listed with
the reason, and `test_parsing` holds its words.
"""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from server.cli import app
from tests.docs.commands import PAGES, Command, blocks, commands, is_complete
from tests.docs.conftest import Followed
from tests.retrievers.samples import write_pdf

NOT_RUN = {
    "coordinator run": "serves until a signal; the tutorial runs it",
    "node run": "likewise",
    "mcp": "serves an assistant on standard input; tests/e2e/test_clients.py",
    "models pull": "fetches 190 MB; tests/frag/models",
    "demo": "minutes; tests/e2e",
    "audit": "minutes; tests/server/audit",
    "eval": "needs data sets and hours; tests/server/evaluation",
    "bench": "takes minutes and prints timings; tests/server/benchmark",
    "simulate": "trains; tests/server/test_simulate.py",
    "train": "trains; tests/e2e/test_training.py",
    "jobs": "needs a job; tests/e2e/test_training.py",
    "prompts promote": "needs a trained version; tests/e2e/test_training.py",
    "prompts rollback": "likewise",
    "ask … --sealed": "needs a signed roster; tests/e2e/test_sealed.py",
    "ask --sealed": "likewise",
    "node feedback accept": "needs a correction that waits; tests/server/node/feedback",
    "node feedback reject": "likewise",
    "feedback": "needs the id of an answered question; tests/server/node/feedback",
    "node reembed": "needs another embedder; tests/server/node/test_reembedding.py",
    "node forget": "the block that puts the document runs in a shell below",
    "--install-completion": "changes the start-up file of the shell",
    "--show-completion": "asks which shell is running; test_site.py prints the scripts",
}
"""Beginnings of commands, `…` standing for any words, and why they do not run here."""

STANDS_FOR = {"…": "From which pier does the ferry leave?"}
ELSEWHERE = {("coordinator", "init"), ("coordinator", "key"), ("node", "enroll")}
"""They make what the tutorial has made already, so they run in a folder of their own."""


def is_not_run(command: Command, beginning: str) -> bool:
    words = beginning.split()
    if "…" in words:
        return command.words[0] == words[0] and words[-1] in command.words
    return list(command.words[: len(words)]) == words


def all_commands() -> list[Command]:
    """Each once: in a block in any case, as a mention when it says all that is needed."""
    found: dict[tuple[str, ...], Command] = {}
    for page in PAGES:
        for command in commands(page):
            if not command.is_mention or is_complete(command):
                found.setdefault(command.words, command)
    return list(found.values())


RUN = [
    command
    for command in all_commands()
    if not any(is_not_run(command, entry) for entry in NOT_RUN)
    and not command.page.startswith(("deploy/", "docs/tutorial.md"))
]
"""Those of `deploy/` run in containers and services that are not there, those of the tutorial have run already."""


def test_the_list_of_what_is_not_run_holds_nothing_stale() -> None:
    every = [command for page in PAGES for command in commands(page)]
    assert [entry for entry in NOT_RUN if not any(is_not_run(command, entry) for command in every)] == []
    assert len(RUN) > 25


@pytest.fixture(scope="session")
def prepared(followed: Followed) -> Followed:
    """What README takes for granted: a node's folder called `node`, examples, a document."""
    (followed.folder / "node").symlink_to("harbour")
    row = {"question": "Which pier?", "answer": "four", "passage": "The ferry leaves from pier four."}
    (followed.folder / "examples.jsonl").write_text("\n".join(json.dumps({**row, "id": i}) for i in range(20)))
    write_pdf(followed.folder / "report.pdf", "The annual report of the harbour.")
    return followed


@pytest.fixture
def at_home(prepared: Followed, monkeypatch: pytest.MonkeyPatch) -> Followed:
    for name in ("FRAG_URL", "FRAG_API_KEY", "FRAG_HOME", "HOME"):
        monkeypatch.setenv(name, prepared.environment[name])
    monkeypatch.chdir(prepared.folder)
    return prepared


@pytest.mark.timeout(300)
@pytest.mark.parametrize("command", RUN, ids=str)
def test_it_runs(at_home: Followed, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [STANDS_FOR.get(word, word) for word in command.words]
    if words[:2] == ["node", "enroll"]:
        words[2] = run(["coordinator", "token", "newcomer"]).strip()
    if words[0] == "prompts":
        monkeypatch.setenv(
            "FRAG_API_KEY", run(["coordinator", "key", "add", tmp_path.name, "--scope", "train"]).strip()
        )
    if tuple(words[:2]) in ELSEWHERE:
        monkeypatch.chdir(tmp_path)
    if words[:2] == ["coordinator", "key"]:
        run(["coordinator", "init"])
    run(words)


def run(words: list[str]) -> str:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, f"frag {' '.join(words)}: {done.output}{done.exception!r}"
    return done.output


@pytest.mark.timeout(300)
@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not on this machine")
def test_blocks_with_curl_run_in_a_shell(prepared: Followed) -> None:
    found = [block for page in PAGES for block in blocks(page, {"sh", "bash"}) if "curl " in block.text]
    mine = [block for block in found if block.info.split() != ["bash", "test"]]
    assert len(mine) >= 2
    for block in mine:
        script = block.text.replace("/guidelines/", "/documents/").replace("curl ", "curl --fail-with-body -sS ")
        done = prepared.shell(script)
        assert done.returncode == 0, f"{block.page}:{block.line}: {done.stdout}{done.stderr}"
