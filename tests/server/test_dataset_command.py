"""`frag dataset` as an operator meets it: a table that lines up, JSON, exit codes, and never a word of the examples."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.test_cli import run

SECRET = "Xylander-7741"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A place with a node in `node`, the default, and examples in `examples.csv`."""
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "node.toml").write_text('node_id = "a"\ncoordinator_url = "http://127.0.0.1:9"\n')
    rows = [f'"Who, {number}?",{SECRET}' for number in range(1200)]
    (tmp_path / "examples.csv").write_text("\n".join(["question,answer", *rows, rows[0]]))
    return tmp_path


def test_add_list_remove(folder: Path) -> None:
    added = run("dataset", "add", "faq", "examples.csv", folder=folder)
    assert added.returncode == 0, added.stderr
    longest = run("dataset", "add", "long-" * 12 + "name", "examples.csv", folder=folder)
    assert longest.returncode == 0, longest.stderr
    listed = run("dataset", "list", folder=folder)
    header, *rows = listed.stdout.splitlines()
    faq = next(row for row in rows if row.startswith("faq "))
    assert "1,200" in faq
    assert "supervised" in faq
    for title in ("examples", "groups", "duplicates"):  # numbers end where their titles end
        end = header.index(title) + len(title)
        assert faq[end - 1].isdigit()
        assert faq[end] == " "
    assert faq.index("supervised") == header.index("objectives")
    assert len(re.findall(r" 1,200 .* \d{4}-\d\d-\d\d \d\d:\d\d *$", listed.stdout, re.MULTILINE)) == 2
    assert "long-" * 12 + "name " in listed.stdout, "in a pipe a row is one line"
    assert run("dataset", "remove", "faq", folder=folder).stdout == "removed faq\n"
    names = [row["name"] for row in json.loads(run("dataset", "list", "--json", folder=folder).stdout)["datasets"]]
    assert "faq" not in names
    assert SECRET not in added.stdout + listed.stdout


def test_json_holds_sizes_only(folder: Path) -> None:
    added = json.loads(run("dataset", "add", "faq", "examples.csv", "--json", folder=folder).stdout)
    assert (added["name"], added["num_examples"], added["num_duplicates"]) == ("faq", 1200, 1)
    assert (added["num_groups"], added["has_passages"], added["objectives"]) == (1200, False, ["supervised"])
    assert json.loads(run("dataset", "list", "--json", folder=folder).stdout) == {"datasets": [added]}


def test_columns_are_named_and_an_older_one_is_replaced(folder: Path) -> None:
    assert run("dataset", "add", "faq", "examples.csv", folder=folder).returncode == 0
    (folder / "german.jsonl").write_text('{"frage": "Wer?", "antwort": ["Ada", "A. L."], "buch": "Von Ada.", "kap": 1}')
    arguments = ["--question-column", "frage", "--answer-column", "antwort", "--passage-column", "buch"]
    command = ["dataset", "add", "faq", "german.jsonl", *arguments, "--group-column", "kap", "--json"]
    refused = run(*command, folder=folder)
    assert (refused.returncode, "--replace" in refused.stderr) == (2, True)
    replaced = json.loads(run(*command, "--replace", folder=folder).stdout)
    assert (replaced["num_examples"], replaced["has_passages"]) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "messages"),
    [
        (["add", "faq", "bad.csv"], 4, ["bad.csv, line 4", "and no 'answer'", "Fill in both"]),
        (["add", "faq", "absent.csv"], 4, ["no file absent.csv"]),
        (["add", "faq", "examples.csv", "--passage-column", "contxt"], 4, ["no column 'contxt'"]),
        (["add", "FAQ", "examples.csv"], 2, ["a-z"]),
        (["add", "../faq", "examples.csv"], 2, ["a-z"]),
        (["remove", "../node"], 2, ["a-z"]),
        (["remove", "faq"], 2, ["no data set 'faq'"]),
        (["list", "--folder", "elsewhere"], 2, ["frag node enroll"]),
        (["add", "faq", "examples.csv", "--folder", "elsewhere"], 2, ["frag node enroll"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_says_what_to_do(folder: Path, arguments: list[str], exit_code: int, messages: list[str]) -> None:
    (folder / "bad.csv").write_text(f'question,answer\n"Who,\nwhere?",{SECRET}\n{SECRET},\n')
    done = run("dataset", *arguments, folder=folder)
    assert done.returncode == exit_code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr
    for message in messages:
        assert message in done.stderr
    assert not (folder / "elsewhere").exists()
    assert not list(folder.glob("node/datasets/*"))


def test_a_damaged_set_is_named_and_can_be_given_up(folder: Path) -> None:
    run("dataset", "add", "faq", "examples.csv", folder=folder)
    stored = folder / "node" / "datasets" / "faq.examples"
    stored.write_bytes(b"\xff" + stored.read_bytes())
    listed = run("dataset", "list", folder=folder)
    assert listed.returncode == 4
    assert "faq" in listed.stderr
    assert "frag dataset remove faq" in listed.stderr
    assert run("dataset", "remove", "faq", folder=folder).returncode == 0
    assert "frag dataset add" in run("dataset", "list", folder=folder).stdout


def test_it_starts_fast() -> None:
    """No numerics beyond what the settings need, no network, no language model."""
    code = (
        "import sys; from typer.testing import CliRunner; from server.cli import app;"
        "CliRunner().invoke(app, ['dataset', 'list', '--folder', 'nowhere']);"
        "heavy = {'torch', 'transformers', 'faiss', 'spacy', 'aiohttp', 'sqlalchemy', 'presidio_analyzer'};"
        "print('server.node.datasets' in sys.modules, sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True []"
