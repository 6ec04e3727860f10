"""The embedder of a node changes beside the index that is searched, while questions and documents go on."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from frag.errors import ModelError, NotReadyError
from frag.protocols import FloatArray, Progress
from frag.types import Document
from retrievers.generations import CHANGE_LOCK, Live, coming_folders, folder_name, folder_of, read_live
from retrievers.locking import shared
from retrievers.store import DocumentStore
from server.cli import app
from server.node import assembly
from server.node.changeover import Changeover, Order, read_order, wanted_model, write_order
from server.node.indices import Indices
from server.node.opening import open_indices
from server.node.operating import compact_coming
from server.node.reembedding import Reembedding
from server.node.throttled import Throttled
from tests.doubles import HashingEmbedder
from tests.server.node.local.conftest import View, node_view

KEYS = "The porter keeps the brass keys behind the oak door of the chapel."
SNOW = "Snow falls softly over seven silent mountains in the far north."
QUESTION = "Where does the porter keep the brass keys?"


def load(model: str) -> HashingEmbedder:
    if model == "missing":
        raise ModelError("The embedder missing is not there.", "Fetch it.")
    return HashingEmbedder(seed="" if model == "old" else model)


NEW = load("new").fingerprint


@pytest.fixture
async def view(tmp_path: Path) -> AsyncIterator[View]:
    async with node_view(tmp_path) as made:
        yield made
        made.answering.indices.close()


@asynccontextmanager
async def changing(
    view: View, model: str = "new", embedder: HashingEmbedder | None = None
) -> AsyncIterator[Reembedding]:
    def made(name: str) -> HashingEmbedder:
        return embedder or load(name)

    reembedding = Reembedding(view.folder.index, model, view.answering.indices, made, share=1.0)
    async with reembedding.running():
        yield reembedding


class Waiting(HashingEmbedder):
    """Stops at the first passage of snow until it may go on."""

    def __init__(self) -> None:
        super().__init__(seed="new")
        self.may_go_on = threading.Event()

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> FloatArray:
        if any("silent mountains" in text for text in texts):
            assert self.may_go_on.wait(10)
        return super().embed(texts, progress)


async def until_changed(view: View, fingerprint: str = NEW) -> None:
    async with asyncio.timeout(20):
        while view.answering.describe()[1] != fingerprint or read_order(view.folder.index):
            await asyncio.sleep(0.01)


async def test_answers_and_documents_go_on_and_land_in_the_new_index(view: View) -> None:
    for n in range(20):
        await view.put(f"{n}.txt", f"{SNOW} {n}")
    await view.put("going.txt", f"{KEYS} Soon gone.")
    embedder = Waiting()
    async with changing(view, embedder=embedder):
        while not (order := read_order(view.folder.index)) or not order.collections:
            await asyncio.sleep(0.01)
        _, status = await view.call("GET", "/status")
        assert status["reembedding"]["model"] == "new"
        assert status["reembedding"]["notes"] == "0 of 21 passages"
        assert view.answering.describe()[1] == load("old").fingerprint
        assert (await view.put("keys.txt", KEYS))[0] == 201
        assert (await view.delete("going.txt"))[0] == 200
        assert view.found(QUESTION)[:1] == ["keys.txt"]
        assert "brass keys" in (await view.ask(QUESTION)).text
        embedder.may_go_on.set()
        await until_changed(view)
    assert view.found(QUESTION)[:1] == ["keys.txt"]
    assert "brass keys" in (await view.ask(QUESTION)).text
    assert "going.txt" not in view.found(QUESTION, 30)
    assert (await view.put("late.txt", f"{KEYS} Late."))[0] == 201
    assert "late.txt" in view.found(QUESTION)
    live = read_live(view.folder.index)
    assert live == Live(model="new", fingerprint=NEW, asked_for="new", folders={"notes": folder_name(NEW)})
    assert [path.name for path in (view.folder.index / "notes").iterdir()] == [folder_name(NEW)]
    _, status = await view.call("GET", "/status")
    assert (status["reembedding"], status["collections"]["notes"]["documents"]) == ({}, 22)


async def test_an_answer_under_way_does_not_outlive_a_deletion_behind_the_change(view: View) -> None:
    await view.put("keys.txt", KEYS)
    view.model.open.clear()
    asking = asyncio.create_task(view.ask(QUESTION))
    await asyncio.to_thread(view.model.reading.wait, 5)
    async with changing(view):
        await until_changed(view)
        assert (await view.delete("keys.txt"))[0] == 200
        view.model.open.set()
        assert (await asking).withheld == "no_evidence"


async def test_the_change_waits_for_an_ingest_of_another_process_and_lets_this_one_write(view: View) -> None:
    await view.put("keys.txt", KEYS)
    with shared(view.folder.index / CHANGE_LOCK):
        async with changing(view):
            while not (order := read_order(view.folder.index)) or order.collections.get("notes") != (1, 1):
                await asyncio.sleep(0.01)
            assert (await view.put("snow.txt", SNOW))[0] == 201
            assert view.answering.describe()[1] == load("old").fingerprint
    async with changing(view):
        await until_changed(view)
    assert sorted(view.found(SNOW)) == ["keys.txt", "snow.txt"]


async def test_an_answer_says_what_its_scores_were_made_with(view: View) -> None:
    await view.put("keys.txt", KEYS)
    assert (await view.ask(QUESTION)).embedder == load("old").fingerprint
    async with changing(view):
        await until_changed(view)
    answer = await view.ask(QUESTION, retrieve_only=True)
    assert answer.embedder == NEW
    assert answer.scale is not None


async def test_an_embedder_that_is_not_there_leaves_all_as_it_is_and_says_so(view: View) -> None:
    await view.put("keys.txt", KEYS)
    async with changing(view, "missing"):
        while not (order := read_order(view.folder.index)) or not order.error:
            await asyncio.sleep(0.01)
    assert order.error == "The embedder missing is not there."
    assert view.found(QUESTION) == ["keys.txt"]


async def test_the_command_has_a_running_node_change_over(view: View) -> None:
    await view.put("keys.txt", KEYS)
    words = ["node", "reembed", "notes", "--model", "new", "--folder", str(view.folder.folder)]
    refused = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert isinstance(refused.exception, Exception)  # nothing in this node would do it
    async with changing(view, "old") as reembedding:
        view.state.order_embedder = reembedding.order
        done = await asyncio.to_thread(CliRunner().invoke, app, words)
        assert done.exit_code == 0, done.exception
        assert "embedder new now" in done.output
    assert view.answering.describe()[1] == NEW


async def test_a_model_that_there_is_not_is_refused_and_nothing_is_left_of_the_order(view: View) -> None:
    def check(model: str) -> None:
        if model != "new":
            raise ModelError(f"There is no model {model}.", "Name another.")

    await view.put("keys.txt", KEYS)
    embedders = Reembedding(view.folder.index, "old", view.answering.indices, load, share=1.0, check=check)
    async with embedders.running():
        view.state.order_embedder = embedders.order
        status, problem = await view.call("POST", "/reembed", json={"model": "typo"})
        assert (status, problem["code"]) == (ModelError.http_status, "bad_model")
        assert read_order(view.folder.index) is None


@contextmanager
def stopped_node(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two collections, made by the embedder old."""
    monkeypatch.setattr(assembly, "load_named", lambda _models, name, **_kwargs: load(name))
    content = 'node_id = "alpha"\ncoordinator_url = "http://127.0.0.1:9"\n[models]\nembedder = "old"\n'
    for name in ("notes", "mails"):
        (folder / name).mkdir()
        content += f'[[collections]]\nname = "{name}"\nfolder = "{name}"\n'
    (folder / "node.toml").write_text(content)
    indices = open_indices(folder / "index", ["notes", "mails"], "old", load)
    for name, store in indices.stores.items():
        store.ingest([Document(document_id=f"{name}.txt", text=KEYS)])
        store.close()
    yield folder / "index"


def test_a_node_that_does_not_run_changes_over_too_with_all_its_collections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stopped_node(tmp_path, monkeypatch) as index:
        words = ["node", "reembed", "--model", "new", "--json", "--folder", str(tmp_path)]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.exception
        assert json.loads(done.stdout) == {"model": "new", "fingerprint": NEW}
        live = read_live(index)
        assert live
        assert live.folders == dict.fromkeys(["notes", "mails"], folder_name(NEW))
        indices = open_indices(index, ["notes", "mails"], "old", load)
        assert indices.embedder.fingerprint == NEW  # what was ordered lasts until node.toml changes
        assert [hit.document_id for hit in indices.stores["mails"].search(QUESTION, 1)] == ["mails.txt"]
        for store in indices.stores.values():
            store.close()
        assert (wanted_model(index, "old"), wanted_model(index, "third")) == ("new", "third")


def test_a_changed_setting_is_served_by_the_old_embedder_until_all_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stopped_node(tmp_path, monkeypatch) as index:
        for configured in ("new", "missing"):
            indices = open_indices(index, ["notes", "mails"], configured, load)
            assert indices.embedder.fingerprint == load("old").fingerprint
            assert indices.stores["notes"].search(QUESTION, 1)
            for store in indices.stores.values():
                store.close()
        back = open_indices(index, ["notes", "mails"], "old", load)
        assert wanted_model(index, "old") == "old"
        for store in back.stores.values():
            store.close()


def test_an_ingest_keeps_to_the_embedder_of_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with stopped_node(tmp_path, monkeypatch) as index:
        settings = tmp_path / "node.toml"
        settings.write_text(settings.read_text().replace('embedder = "old"', 'embedder = "new"'))
        (tmp_path / "notes" / "snow.txt").write_text(SNOW)
        words = ["node", "ingest", "--folder", str(tmp_path), "--collection", "notes"]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.exception
        assert "frag node reembed" in done.output
        with DocumentStore.open(index / "notes", load("old")) as store:
            assert store.search(SNOW, 1)[0].document_id == "snow.txt"
        assert "what is wanted now" in str(CliRunner().invoke(app, [*words, "--rebuild"]).exception)


def test_what_was_deleted_leaves_the_files_of_the_index_to_come_by_compaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stopped_node(tmp_path, monkeypatch) as index, DocumentStore.open(index / "notes", load("old")) as old:
        old.ingest([Document(document_id="secret.txt", text=f"zanzibarquux {KEYS}")])
        ending = threading.Event()

        def give_up() -> None:
            raise NotReadyError("given up")

        def never(_indices: Indices) -> threading.Event:
            raise AssertionError("nothing has changed")

        order = Order(model="new", asked_for="old")
        write_order(index, order)
        with pytest.raises(NotReadyError, match="given up"):
            Changeover(index, order, load("new"), ending).run({"notes": old}, never, about_to=give_up)
        (coming,) = coming_folders(index, "notes")
        assert any(b"zanzibarquux" in path.read_bytes() for path in coming.iterdir())
        old.delete(["secret.txt"])
        compact_coming(index, ["notes"])
        assert not any(b"zanzibarquux" in path.read_bytes() for path in coming.iterdir())


def test_the_background_rests_and_stops_when_told() -> None:
    ending = threading.Event()
    embedder = Throttled(HashingEmbedder(seconds_per_text=0.002), 0.25, ending)
    started = time.monotonic()
    assert embedder.embed([f"text {n}" for n in range(40)]).shape == (40, 64)
    assert time.monotonic() - started >= 4 * 40 * 0.002
    ending.set()
    with pytest.raises(NotReadyError):
        embedder.embed(["more"])


def test_the_folder_of_an_index_is_what_the_pointer_says(tmp_path: Path) -> None:
    assert folder_of(tmp_path, "notes") == tmp_path / "notes"
    live = Live(model="new", fingerprint=NEW, asked_for="new", folders={"notes": folder_name(NEW)})
    assert folder_of(tmp_path, "notes", live) == tmp_path / "notes" / folder_name(NEW)
    assert folder_of(tmp_path, "mails", live) == tmp_path / "mails"
