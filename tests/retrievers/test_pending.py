"""What an ingest would change is told without one."""

import csv
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from retrievers.database import DATABASE_NAME, connect
from retrievers.pending import Pending, pending
from retrievers.store import DocumentStore
from tests.doubles import HashingEmbedder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = tmp_path / "texts"
    (texts / "sub").mkdir(parents=True)
    for name in ("a.txt", "b.md", "sub/c.txt"):
        (texts / name).write_text(f"Opening hours of {name} are nine to five.")
    with (texts / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "text"], ["one", "The first row."], ["two", "The second row."]])
    return texts


@pytest.fixture
def store(tmp_path: Path, folder: Path) -> Iterator[DocumentStore]:
    with DocumentStore.open(tmp_path / "index", HashingEmbedder()) as opened:
        opened.ingest([folder])
        yield opened


def looked(tmp_path: Path, folder: Path, within_s: float = 60.0) -> Pending:
    with closing(connect(tmp_path / "index" / DATABASE_NAME, read_only=True)) as connection:
        return pending(connection, folder, within_s)


def test_what_is_new_changed_and_gone_is_named_until_it_is_ingested(
    tmp_path: Path, folder: Path, store: DocumentStore
) -> None:
    assert looked(tmp_path, folder) == Pending(compared=5)
    (folder / "new.txt").write_text("The pharmacy is in building C.")
    (folder / "a.txt").write_text("Opening hours have changed.")
    (folder / "sub" / "c.txt").unlink()
    (folder / "picture.png").write_bytes(b"no reader takes this")
    (folder / "empty.txt").touch()
    found = looked(tmp_path, folder)
    assert (found.new, found.changed, found.gone) == (("new.txt",), ("a.txt",), ("sub/c.txt",))
    assert [(file.path, file.code) for file in found.skipped] == [
        ("empty.txt", "empty"),
        ("picture.png", "unsupported"),
    ]
    store.ingest([folder], remove_missing=True)
    assert looked(tmp_path, folder) == Pending(compared=5, skipped=found.skipped)


def test_what_cannot_be_read_now_is_kept_and_what_leads_elsewhere_is_gone(
    tmp_path: Path, folder: Path, store: DocumentStore
) -> None:
    (folder / "rows.csv").write_bytes(b'id,text\n"half copied\x00\xff\n')
    (folder / "a.txt").unlink()
    (folder / "a.txt").symlink_to("/nowhere")
    found = looked(tmp_path, folder)
    assert (found.gone, found.compared) == (("a.txt",), 4)
    assert [(file.path, file.code) for file in found.skipped] == [("a.txt", "link"), ("rows.csv", "corrupt")]
    assert store.ingest([folder], remove_missing=True).removed == 1, "an ingest does the same"


def test_looking_ends_when_time_is_up(tmp_path: Path, folder: Path, store: DocumentStore) -> None:
    del store
    (folder / "a.txt").unlink()
    found = looked(tmp_path, folder, within_s=-1.0)
    assert (found.is_whole, found.gone) == (False, ())
