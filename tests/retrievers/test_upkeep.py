"""Parts of a collection are brought up to date, asked about and compacted by themselves."""

import time
from pathlib import Path

import pytest

from frag.errors import IndexStoreError, NotReadyError
from frag.types import Document
from retrievers.compaction import compact_folder
from retrievers.database import connect
from retrievers.documents import SkippedFile, load_part
from retrievers.locking import exclusive
from retrievers.store import DocumentStore


def document(name: str, text: str = "The porter keeps the keys.") -> Document:
    return Document(document_id=name, text=f"{text} {name}")


def names(store: DocumentStore) -> list[str]:
    return [info.document_id for info in store.list_documents()]


def test_removing_is_limited_to_what_was_looked_at(store: DocumentStore) -> None:
    store.ingest([document(n) for n in ("a.csv#1", "a.csv#2", "a.csv.txt", "b/x.txt", "b/y.txt", "bx.txt")])
    report = store.ingest([document("a.csv#2")], remove_missing=True, only=["a.csv", "b"])
    assert (report.removed, report.unchanged) == (3, 1)
    assert names(store) == ["a.csv#2", "a.csv.txt", "bx.txt"]
    assert store.ingest([], remove_missing=True, only=[]).removed == 0


def test_what_cannot_be_read_now_stays(store: DocumentStore) -> None:
    store.ingest([document("a.txt"), document("b.txt")])
    unread = SkippedFile("a.txt", "corrupt", "half copied")
    report = store.ingest([unread], remove_missing=True, only=["a.txt", "b.txt"])
    assert (names(store), report.skipped) == (["a.txt"], (unread,))


def test_names_of_a_file_with_its_rows_or_of_a_folder(store: DocumentStore) -> None:
    store.ingest([document(n) for n in ("a", "a!", "a#1", "a$", "a.txt", "a/b#1", "a0", "b")])
    assert store.names_under("a") == ["a", "a#1", "a/b#1"]
    assert store.names_under("a/b") == ["a/b#1"]
    assert store.texts(["b", "a"]) == ["The porter keeps the keys. a", "The porter keeps the keys. b"]


def test_a_passage_is_gone_when_its_document_is_changed_or_deleted(store: DocumentStore) -> None:
    store.ingest([document("a"), document("b")])
    ids = {hit.document_id: hit.chunk_id for hit in store.search("porter", 5)}
    assert store.holds(ids.values())
    store.ingest([document("a", "Another text.")])
    assert not store.holds([ids["a"]])
    assert store.holds([ids["b"]])
    store.delete(["b"])
    assert not store.holds([ids["b"]])
    assert store.holds([])


def test_a_part_of_a_folder_has_the_names_of_the_whole(tmp_path: Path) -> None:
    (tmp_path / "rooms" / "deep").mkdir(parents=True)
    for name in ("rooms/a.txt", "rooms/deep/b.txt", "c.txt"):
        (tmp_path / name).write_text("text")
    assert [item.document_id for item in load_part(tmp_path, "rooms") if isinstance(item, Document)] == [
        "rooms/a.txt",
        "rooms/deep/b.txt",
    ]
    (only,) = load_part(tmp_path, "rooms/a.txt")
    assert isinstance(only, Document)
    assert list(load_part(tmp_path, "gone.txt")) == []


def test_waiting_for_an_ingest_has_an_end(store: DocumentStore, folder: Path) -> None:
    with exclusive(folder / "ingest.lock"):
        for work in (store.wait_for_ingests, store.compact):
            with pytest.raises(NotReadyError):
                work(0.05)
        with pytest.raises(NotReadyError):
            store.ingest([document("a")], wait_s=0.05)
    store.wait_for_ingests(0)


def test_compaction_says_when_somebody_reads_for_too_long(store: DocumentStore, folder: Path) -> None:
    store.ingest([document(str(number)) for number in range(50)])
    reader = connect(folder / "index.db", read_only=True)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM chunks").fetchone()
    store.delete([str(number) for number in range(25)])
    started = time.monotonic()
    with pytest.raises(IndexStoreError, match="frag node compact"):
        compact_folder(folder, wait_s=0.2)
    assert time.monotonic() - started < 10
    reader.close()
    done = compact_folder(folder)
    assert done.bytes_after <= done.bytes_before
    assert store.count() == 25
    assert len(store.search("porter keys", 50)) == 25
