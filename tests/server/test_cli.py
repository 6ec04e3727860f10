"""The command line as a user meets it: real subprocesses, exit codes, messages that say what to do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import frag


def run(*arguments: str, folder: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "server.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(frag.__file__).parents[1]), **environment},
        check=False,
    )


def test_version() -> None:
    assert run("--version").stdout.strip() == f"frag {frag.__version__}"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from server.cli import app;"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0;"
        "heavy = {'torch', 'transformers', 'faiss', 'spacy', 'aiohttp', 'sqlalchemy', 'numpy', 'pydantic'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["node", "run"], 2, "frag node enroll"),
        (["node", "ingest"], 2, "frag node enroll"),
        (["node", "status"], 2, "frag node enroll"),
        (["node", "enroll", "nonsense"], 5, "frag coordinator token"),
        (["coordinator", "run"], 2, "frag coordinator init"),
        (["coordinator", "token", "a"], 2, "frag coordinator init"),
        (["ask", "q", "--url", "http://127.0.0.1:9"], 6, "Check that it runs"),
        (["ask", "q", "--url", "http://10.0.0.1:9"], 2, "https"),
        (["models", "pull", "no-such-model"], 3, "smollm2"),
        (["demo", "--stop"], 2, "make demo KEEP=1"),
        (["nonsense"], 2, "No such command"),
        (["ask"], 2, "Missing argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_says_what_to_do(tmp_path: Path, arguments: list[str], exit_code: int, message: str) -> None:
    done = run(*arguments, folder=tmp_path)
    assert done.returncode == exit_code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_missing_model_names_the_command(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text(
        'node_id = "a"\ncoordinator_url = "http://127.0.0.1:9"\n[[collections]]\nname = "d"\nfolder = "."\n'
    )
    done = run("node", "ingest", "--folder", str(tmp_path), FRAG_HOME=str(tmp_path / "empty"))
    assert done.returncode == 3
    assert "frag models pull all-minilm-l6-v2" in done.stderr


def test_models_list_shows_what_is_missing(tmp_path: Path) -> None:
    done = run("models", "list", "--json", FRAG_HOME=str(tmp_path))
    rows = json.loads(done.stdout)["models"]
    assert {row["state"] for row in rows} == {"missing"}
    assert {row["name"] for row in rows} == {"smollm2-135m-instruct", "all-minilm-l6-v2", "en-core-web-sm"}


def test_a_coordinator_is_set_up_once_and_hands_out_tokens(tmp_path: Path) -> None:
    made = run("coordinator", "init", "--port", "18470", folder=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "frag_" in made.stdout
    again = run("coordinator", "init", folder=tmp_path)
    assert (again.returncode, "already" in again.stderr) == (2, True)
    token = run("coordinator", "token", "clinic-a", folder=tmp_path)
    assert token.stdout.startswith("frag1_")
    bad = run("coordinator", "token", "Clinic A", folder=tmp_path)
    assert (bad.returncode, "a-z" in bad.stderr) == (2, True)
    key = run("coordinator", "key", "add", "alice", folder=tmp_path)
    assert key.stdout.startswith("frag_")
    assert run("coordinator", "key", "add", "alice", folder=tmp_path).returncode == 2
    assert run("coordinator", "key", "add", "bob", "--scope", "root", folder=tmp_path).returncode == 2
    assert run("coordinator", "key", "revoke", "alice", folder=tmp_path).returncode == 0
    assert run("coordinator", "key", "revoke", "alice", folder=tmp_path).returncode == 2
    private = [p.stat().st_mode & 0o077 for p in (tmp_path / "coordinator").glob("*.key")]
    assert private
    assert not any(private)


def test_a_node_whose_coordinator_is_away_keeps_trying(tmp_path: Path) -> None:
    """Exit only by signal: an operator restarts the coordinator, not every node."""
    code = (
        "import asyncio, sys; from pathlib import Path; from server.benchmark import null_node;"
        "from server.node.state import NodeFolder;"
        "asyncio.run(null_node._main(NodeFolder(Path(sys.argv[1])), 10))"
    )
    (tmp_path / "node.toml").write_text('node_id = "a"\ncoordinator_url = "http://127.0.0.1:9"\n')
    (tmp_path / "identity.key").write_bytes(bytes(32))
    (tmp_path / "coordinator.pub").write_bytes(bytes(32))
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        for _ in range(2):  # it has tried twice, so it listens to signals
            assert b"connection_failed" in process.stdout.readline()
    finally:
        process.terminate()
    with process.stdout:
        assert process.wait(10) == 0
