"""Every `frag …` in the documentation is one that the program takes, and every settings file one that it reads."""

import ast
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from frag.settings import CoordinatorSettings, NodeSettings
from prompt_tuning.job import JobSettings
from tests.docs.commands import PAGES, Command, blocks, commands, mistake


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_program_takes_every_command(page: Path) -> None:
    assert [wrong for command in commands(page) if (wrong := mistake(command))] == []


def test_commands_are_found_in_all_places() -> None:
    found = [command for page in PAGES for command in commands(page)]
    assert len(found) > 150
    texts = {" ".join(command.words) for command in found}
    assert "coordinator token $silo" in texts, "within quotes"
    assert "prompts rollback" in texts, "in a comment"
    assert "node resume-release" in texts, "behind a bar"


@pytest.mark.parametrize(
    ("words", "is_wrong"),
    [
        ("ask Why? --mode scrub", False),
        ("ask Why? --modus scrub", True),
        ("ask", True),
        ("node stat", True),
        ("bench fanout --nodes many", True),
        ("doctor --folder node --quick", False),
    ],
)
def test_a_wrong_word_is_seen(words: str, is_wrong: bool) -> None:
    assert bool(mistake(Command("page.md", 1, tuple(words.split()), is_mention=False))) == is_wrong


def test_a_mention_may_leave_arguments_out_and_invents_no_option() -> None:
    assert not mistake(Command("page.md", 1, ("dataset", "add"), is_mention=True))
    assert mistake(Command("page.md", 1, ("dataset", "add", "--colum", "person"), is_mention=True))
    assert mistake(Command("page.md", 1, ("datasets",), is_mention=True))


def _fits_one(text: str) -> list[str]:
    """Complaints of all three kinds of file; empty when one of them reads it."""
    content = tomllib.loads(text.replace("9f0c…", "9f0c" * 16))
    complaints = []
    needed = {"node_id": "clinic-a", "coordinator_url": "https://frag.example"}
    tries: tuple[tuple[type[BaseModel], dict[str, str]], ...] = (
        (NodeSettings, needed),
        (CoordinatorSettings, {}),
        (JobSettings, {"name": "support", "dataset": "qa"}),
    )
    for kind, defaults in tries:
        try:
            kind.model_validate({**defaults, **content})
        except ValidationError as error:
            complaints.append(str(error))
        else:
            return []
    return complaints


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_files_are_read(page: Path) -> None:
    assert [(block.line, wrong) for block in blocks(page, {"toml"}) if (wrong := _fits_one(block.text))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_imports_what_exists(page: Path) -> None:
    for block in blocks(page, {"python"}):
        imports = [node for node in ast.walk(ast.parse(block.text)) if isinstance(node, ast.ImportFrom)]
        for node in imports:
            module = __import__(str(node.module), fromlist=["*"])
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
