"""What the command line does to a node, running or not."""

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from frag.errors import FragError, UnreachableError
from server.cli import app
from server.node.journal import Entry, Journal
from server.node.operating import forget, page_address, resume, stop
from server.node.state import NodeFolder
from server.node.switch import ReleaseSwitch
from tests.server.node.local.conftest import View

runner = CliRunner()


@pytest.fixture
def place(tmp_path: Path) -> NodeFolder:
    (tmp_path / "node.toml").write_text(
        'node_id = "alpha"\ncoordinator_url = "http://127.0.0.1:9"\n'
        '[[collections]]\nname = "notes"\nfolder = "documents"\n'
    )
    (tmp_path / "documents").mkdir()
    return NodeFolder(tmp_path)


def test_a_node_that_does_not_run_is_stopped_for_its_next_start(place: NodeFolder) -> None:
    assert "No running node has confirmed it" in stop(place, "night")
    known = ReleaseSwitch(place.release_switch).stopped()
    assert known is not None
    assert known.reason == "night"
    stop(place, "again")
    assert ReleaseSwitch(place.release_switch).stopped() == known
    resume(place)
    assert ReleaseSwitch(place.release_switch).stopped() is None


def test_what_needs_the_running_node_says_so(place: NodeFolder) -> None:
    for work in (lambda: forget(place, "notes", "a.txt"), lambda: page_address(place)):
        with pytest.raises(UnreachableError, match="frag node run"):
            work()


def test_the_journal_is_shown_and_a_broken_chain_has_an_exit_code(place: NodeFolder) -> None:
    journal = Journal.open(place.journal)
    journal.append([Entry(kind="answer", mode="scrub", num_chars=7, content_hash="ab" * 16), Entry(kind="stopped")])
    journal.close()
    words = ["node", "journal", "--folder", str(place.folder)]
    shown = runner.invoke(app, words)
    assert shown.exit_code == 0
    assert "the chain is whole" in shown.output
    read = json.loads(runner.invoke(app, [*words, "--json", "--limit", "1"]).output)
    assert [entry["entry"]["kind"] for entry in read["entries"]] == ["stopped"]
    with sqlite3.connect(place.journal) as other:
        other.execute("UPDATE entries SET at = '2001' WHERE entry_id = 1")
    other.close()
    broken = runner.invoke(app, words)
    assert (broken.exit_code, "BROKEN at entry 1" in broken.output) == (7, True)


def test_an_index_is_compacted_without_the_node(place: NodeFolder) -> None:
    (place.folder / "documents" / ".frag-put-left.txt").write_text("half of a document")
    done = runner.invoke(app, ["node", "compact", "--json", "--folder", str(place.folder)])
    assert done.exit_code == 0
    assert json.loads(done.output)["notes"]["after"] > 0
    assert list((place.folder / "documents").iterdir()) == []


async def test_a_document_is_forgotten_and_the_page_found(view: View) -> None:
    await view.put("rooms/keys 1.txt", "The porter keeps the brass keys behind the oak door.")
    words = ["node", "forget", "rooms/keys 1.txt", "--folder", str(view.folder.folder)]
    said = await asyncio.to_thread(runner.invoke, app, words)
    assert said.exit_code == 0, said.output
    assert "Deleted from notes: rooms/keys 1.txt" in said.output
    assert view.answering.stores["notes"].count() == 0
    with pytest.raises(FragError) as again:
        await asyncio.to_thread(forget, view.folder, "notes", "rooms/keys 1.txt")
    assert (again.value.code, again.value.exit_code) == ("not_found", 2)
    opened = await asyncio.to_thread(page_address, view.folder)
    assert opened == f"{view.url}/#token={view.token}"


def test_an_index_is_checked_without_the_node(place: NodeFolder) -> None:
    words = ["node", "check", "--folder", str(place.folder)]
    done = runner.invoke(app, [*words, "--json"])
    assert done.exit_code == 0
    assert [(found["recall_at_10"], found["damaged"]) for found in json.loads(done.output).values()] == [(1.0, [])]
    assert "recall@10 1.000 against exact search" in runner.invoke(app, words).output
