"""Documents are added, changed and deleted while questions run."""

import asyncio
import csv
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from frag.types import AnswerMode, Document, RetrievalMode
from prompt_tuning.dataset import Columns
from retrievers.locking import exclusive
from server.node.datasets import Datasets
from server.node.local import documents as desk
from tests.server.node.local.conftest import View, node_view
from tests.server.node.test_forgetting import OTHER, SECRET, examples_in, memory_of, prepare_job, write_examples

KEYS = "The porter keeps the brass keys behind the oak door of the chapel."
SNOW = "Snow falls softly over seven silent mountains in the far north."
QUESTION = "Where does the porter keep the brass keys?"


async def test_a_document_is_found_as_soon_as_it_is_acknowledged_and_gone_likewise(view: View) -> None:
    status, stored = await view.put("rooms/keys.txt", KEYS)
    assert (status, stored["documents"], stored["created"]) == (201, ["rooms/keys.txt"], True)
    assert view.found(QUESTION) == ["rooms/keys.txt"]
    assert (view.documents / "rooms" / "keys.txt").read_text() == KEYS

    status, stored = await view.put("rooms/keys.txt", SNOW)
    assert (status, stored["created"]) == (200, False)
    (hit,) = view.answering.stores["notes"].search(QUESTION, 5)
    assert hit.text == SNOW

    _, listed = await view.call("GET", "/documents")
    (only,) = listed["documents"]
    assert (only["document_id"], only["num_bytes"], only["num_chars"]) == ("rooms/keys.txt", len(SNOW), len(SNOW))
    assert only["modified_at"].startswith("20")

    status, deleted = await view.delete("rooms/keys.txt")
    assert (status, deleted["documents"]) == (200, ["rooms/keys.txt"])
    assert view.found(SNOW) == []
    assert list(view.documents.rglob("*.*")) == []
    assert (await view.delete("rooms/keys.txt"))[0] == 404


async def test_pages_of_the_list_turn(view: View) -> None:
    for number in range(5):
        await view.put(f"{number}.txt", f"{KEYS} {number}")
    _, first = await view.call("GET", "/documents?collection=notes&limit=3")
    _, second = await view.call("GET", "/documents?collection=notes&limit=3&after=2.txt")
    names = [d["document_id"] for d in (*first["documents"], *second["documents"])]
    assert (names, first["more"], second["more"]) == ([f"{n}.txt" for n in range(5)], True, False)


async def test_a_file_of_rows_is_followed_row_by_row(view: View) -> None:
    def table(*people: str) -> str:
        out = io.StringIO()
        csv.writer(out).writerows(
            [("id", "text"), *((name, f"{name} keeps the brass keys of the porter.") for name in people)]
        )
        return out.getvalue()

    _, stored = await view.put("people.csv", table("ann", "bob", "cid"))
    assert stored["documents"] == ["people.csv#ann", "people.csv#bob", "people.csv#cid"]
    await view.put("people.csv.txt", SNOW)
    await view.put("people.csv", table("ann", "cid"))
    assert sorted(view.found(QUESTION)) == ["people.csv#ann", "people.csv#cid", "people.csv.txt"]
    assert (await view.delete("people.csv#ann"))[0] == 409
    _, deleted = await view.delete("people.csv")
    assert deleted["documents"] == ["people.csv#ann", "people.csv#cid"]
    assert view.found(QUESTION) == ["people.csv.txt"]


async def test_a_name_that_is_no_document_is_refused(view: View, tmp_path: Path) -> None:
    (view.documents / "link").symlink_to(tmp_path)
    (view.documents / "folder.txt").mkdir()
    await view.delete("nothing.txt")  # makes the index's lock
    before = sorted(tmp_path.rglob("*"))
    for document_id in (
        "../out.txt",
        "a/../../out.txt",
        ".hidden.txt",
        "a/.git/x.txt",
        "a//b.txt",
        "keys.exe",
        "keys",
        "a\\b.txt",
        "x" * 300 + ".txt",
        "link/x.txt",
        "folder.txt",
    ):
        status, said = await view.put(document_id, KEYS)
        assert status in (404, 409, 422), said
        assert (await view.delete(document_id))[0] in (404, 409, 422)
    assert sorted(tmp_path.rglob("*")) == before


async def test_a_file_that_cannot_be_read_changes_nothing(view: View) -> None:
    await view.put("keys.pdf", b"")
    await view.put("keys.txt", KEYS)
    for content in (b"", b"\xff\xfe\x00\xd8" + bytes([0x80, 0x81]) * 20):
        status, said = await view.put("keys.txt", content)
        assert (status, said["code"]) == (422, "bad_document")
    assert view.found(QUESTION) == ["keys.txt"]
    assert [path.name for path in view.documents.iterdir()] == ["keys.txt"]


async def test_a_document_that_the_folder_brought_is_deleted_with_its_file(view: View) -> None:
    (view.documents / "old.md").write_text(KEYS)
    view.answering.ingest({"notes": view.documents})
    await view.delete("old.md")
    view.answering.ingest({"notes": view.documents})
    assert view.found(QUESTION) == []


async def test_what_was_put_outlives_the_next_ingest(view: View) -> None:
    await view.put("keys.txt", KEYS)
    view.answering.ingest({"notes": view.documents})
    assert view.found(QUESTION) == ["keys.txt"]


async def test_a_deletion_is_not_acknowledged_while_an_ingest_may_bring_the_document_back(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "WAIT_S", 0.1)
    await view.put("keys.txt", KEYS)
    with exclusive(view.folder.index / "notes" / "ingest.lock"):
        status, said = await view.delete("keys.txt")
        assert (status, said["code"], said["training"]["datasets"]) == (503, "not_ready", {})
        assert view.found(QUESTION) == []
        assert (await view.delete("keys.txt"))[0] == 503  # nobody can say yet that it is not there
        assert (await view.put("snow.txt", SNOW))[0] == 503
    assert (await view.delete("keys.txt"))[0] == 404


async def test_fifty_searches_at_once_find_what_was_acknowledged_and_nothing_that_was_deleted(view: View) -> None:
    """Every search notes what had been acknowledged before it began: sooner than the 2 s that are promised."""
    number, at_once = 6, 50
    there: set[str] = set()
    gone: set[str] = set()
    done = threading.Event()
    all_begin = threading.Barrier(at_once)

    def search() -> list[tuple[set[str], set[str], set[str]]]:
        returned = []
        vector = view.answering.embed([QUESTION])[0]
        all_begin.wait(30)
        while not done.is_set():
            before = set(there), set(gone)
            hits = view.answering.stores["notes"].search_vector(vector, QUESTION, 4 * number, RetrievalMode.DENSE)
            returned.append((*before, {hit.document_id for hit in hits}))
        return returned

    with ThreadPoolExecutor(at_once) as searchers:
        searching = [asyncio.get_running_loop().run_in_executor(searchers, search) for _ in range(at_once)]
        for n in range(number):
            for name in (f"{n}.txt", f"{n}x.txt"):
                assert (await view.put(name, f"{KEYS} It is the {name} of them."))[0] == 201
                there.add(name)
            there.discard(f"{n}x.txt")
            assert (await view.delete(f"{n}x.txt"))[0] == 200
            gone.add(f"{n}x.txt")
        done.set()
        rounds = await asyncio.gather(*searching)
    assert all(rounds)  # each of the fifty has searched
    returned = [item for some in rounds for item in some]
    assert any(before and deleted and found for before, deleted, found in returned)
    assert [names for before, _, found in returned if (names := before - found - gone)] == []
    assert [names for _, deleted, found in returned if (names := deleted & found)] == []


async def test_an_answer_under_way_is_made_again_without_what_was_deleted(view: View) -> None:
    await view.put("keys.txt", KEYS)
    await view.put("other.txt", "The porter keeps brass keys in a box, the steward says, and the door is shut.")
    view.model.open.clear()
    asking = asyncio.create_task(view.ask(QUESTION))
    await asyncio.to_thread(view.model.reading.wait, 5)
    assert (await view.delete("keys.txt"))[0] == 200
    view.model.open.set()
    answer = await asking
    assert "steward" in answer.text
    assert len(answer.citations) == 1


async def test_an_answer_whose_only_document_goes_is_withheld(view: View) -> None:
    await view.put("keys.txt", KEYS)
    view.model.open.clear()
    asking = asyncio.create_task(view.ask(QUESTION))
    await asyncio.to_thread(view.model.reading.wait, 5)
    await view.delete("keys.txt")
    view.model.open.set()
    assert (await asking).withheld == "no_evidence"


async def test_an_answer_whose_documents_change_again_and_again_is_withheld(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = view.answering.stores["notes"]
    generate, changes = view.model.generate, iter(range(100))

    def change_and_generate(*arguments: Any) -> Any:
        document = Document(document_id="keys.txt", text=f"{KEYS} This is version {next(changes)}.")
        store.ingest([document])
        return generate(*arguments)

    await view.put("keys.txt", KEYS)
    monkeypatch.setattr(view.model, "generate", change_and_generate)
    assert (await view.ask(QUESTION)).withheld == "documents_changed"
    assert next(changes) == 3


async def test_a_deletion_does_not_wait_for_an_embedding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with node_view(tmp_path) as view:
        await view.put("keys.txt", KEYS)
        monkeypatch.setattr(view.answering.embedder, "seconds_per_text", 0.5)
        adding = asyncio.create_task(view.put("snow.txt", SNOW))
        await asyncio.sleep(0.1)
        deleting = asyncio.create_task(asyncio.to_thread(view.answering.stores["notes"].delete, ["keys.txt"]))
        await asyncio.wait_for(deleting, 0.3)
        assert not adding.done()
        assert (await adding)[0] == 201


async def test_compaction_leaves_no_trace_in_the_files(view: View) -> None:
    canary = "zanzibarquux"
    await view.put("secret.txt", f"{KEYS} {canary} {KEYS}")
    for n in range(30):
        await view.put(f"{n}.txt", f"{SNOW} {n}")

    def traces() -> list[str]:
        return [
            path.name
            for path in view.folder.folder.rglob("*")
            if path.is_file() and canary.encode() in path.read_bytes().lower()
        ]

    assert "secret.txt" in traces()
    assert set(traces()) & {"index.db", "index.db-wal"}
    await view.delete("secret.txt")
    status, done = await view.call("POST", "/compact")
    assert status == 200
    assert done["notes"]["bytes_after"] > 0
    assert traces() == []
    assert view.found(SNOW, 50)


async def test_deleting_a_document_reaches_its_training_sets(view: View) -> None:
    folder = view.folder.folder
    datasets = Datasets(view.folder.datasets)
    columns = Columns(question="question", answer="answer", passage="passage")
    datasets.add("qa", write_examples(folder / "qa.jsonl", SECRET, OTHER), columns)
    await view.put("ann.txt", SECRET)
    status, said = await view.delete("ann.txt")
    assert (status, said["training"]["datasets"]) == (200, {"qa": 1})
    assert datasets.info("qa").num_examples == 1


@pytest.mark.parametrize("leave", ["delete the file", "change the file", "put another text"])
async def test_what_a_document_no_longer_says_leaves_training(view: View, leave: str) -> None:
    columns = Columns(question="question", answer="answer", passage="passage")
    datasets = Datasets(view.folder.datasets)
    datasets.add("qa", write_examples(view.folder.folder / "qa.jsonl", SECRET, OTHER), columns)
    await view.put("ann.txt", f"{OTHER}\n\n{SECRET}")
    if leave == "put another text":
        _, said = await view.put("ann.txt", OTHER)
        assert said["training"]["datasets"] == {"qa": 1}
    else:
        file = view.documents / "ann.txt"
        file.unlink() if leave == "delete the file" else file.write_text(OTHER)
        await view.put("other.txt", OTHER)
        shelf = view.state.shelves["notes"]
        _, forgotten = await asyncio.to_thread(shelf.ingest_all, lambda _done, _total: None, rebuild=False)
        assert forgotten.datasets == {"qa": 1}
    assert [example.passages for example in datasets.load("qa")] == [(OTHER,)]


async def test_a_deletion_reaches_a_job_that_trains_now(view: View) -> None:
    class Trains:
        num_ended = 0

        async def forget_prepared(self) -> None:
            self.num_ended += 1

    view.folder.training.rmdir()
    job_folder = prepare_job(view.folder.folder, memory_of(view.folder.folder, SECRET, OTHER), "qa-0011aabb")
    view.state.trains = trains = Trains()  # type: ignore[assignment]
    await view.put("ann.txt", SECRET)
    await view.put("snow.txt", SNOW)
    _, said = await view.delete("snow.txt")
    assert (said["training"]["prompt_versions"], trains.num_ended) == ([], 0)
    _, said = await view.delete("ann.txt")
    assert said["training"]["jobs"] == {"qa-0011aabb": 1}
    assert said["training"]["prompt_versions"] == ["qa-0011aabb"]
    assert "Weights do not unlearn" in said["training"]["note"]
    assert examples_in(job_folder) == [OTHER]
    assert trains.num_ended == 1  # what it held in memory went with it


async def test_what_was_found_in_a_deleted_passage_is_forgotten(view: View) -> None:
    await view.put("keys.txt", f"{KEYS} Ask porter@example.org about the brass keys and where he keeps them.")
    await view.put("snow.txt", SNOW)
    await view.ask(QUESTION, AnswerMode.SCRUB)
    await view.ask(SNOW, AnswerMode.SCRUB)
    assert len(view.redactions) == 2
    await view.delete("keys.txt")
    assert len(view.redactions) == 1
