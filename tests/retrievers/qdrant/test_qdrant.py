"""Vectors at a Qdrant server, whose local form stands in: the same answers, whatever it holds, loses or refuses."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from frag.errors import IndexStoreError
from frag.types import Document, RetrievalMode
from retrievers.checking import check_folder
from retrievers.database import DATABASE_NAME
from retrievers.generations import folder_name, sweep
from retrievers.qdrant.growth import QdrantGrowth
from retrievers.qdrant.server import KEY_VARIABLE, server_at
from retrievers.segments import manifest
from retrievers.segments.choosing import Pace
from retrievers.store import DocumentStore
from tests.contracts.retriever_contract import RetrieverContract
from tests.doubles import HashingEmbedder
from tests.retrievers.qdrant.rest_server import KEY, qdrant

PACE = Pace(seal_at=30, block=25, grace_s=0.0)
NUM = 60


def documents(first: int = 0, last: int = NUM) -> list[Document]:
    return [Document(document_id=f"d{n}", text=text(n)) for n in range(first, last)]


def text(n: int) -> str:
    return f"Room {n % 7} holds item{n} and thing{n % 20}."


def address(folder: Path) -> str:
    return f"file:{folder / 'server'}"


def open_store(folder: Path, vectors_at: str | None = None) -> DocumentStore:
    at = address(folder) if vectors_at is None else vectors_at
    return DocumentStore.open(folder / "index", HashingEmbedder(), pace=PACE, vectors_at=at)


def rows_of(folder: Path) -> list[manifest.Row]:
    with closing(sqlite3.connect(folder / "index" / DATABASE_NAME)) as connection:
        return manifest.read_rows(connection)


def held(folder: Path) -> int:
    """Vectors at the server."""
    server = server_at(address(folder))
    return sum(server.count(name) for name in server.names("frag-"))


def found(store: DocumentStore, question: str, top_k: int = 5) -> list[tuple[str, float]]:
    return [(hit.document_id, hit.score) for hit in store.search(question, top_k, RetrievalMode.DENSE)]


@pytest.fixture(autouse=True)
def _servers_end(tmp_path: Path) -> Iterator[None]:
    yield
    if (tmp_path / "server").exists():
        server_at(address(tmp_path)).close()


@pytest.fixture
def given(tmp_path: Path) -> Iterator[DocumentStore]:
    """All vectors at the server."""
    with open_store(tmp_path) as store:
        store.ingest(documents())
        assert store.wait_for_growth(20.0)
        assert (store._live.num_fresh, held(tmp_path)) == (0, NUM)
        yield store


class TestVectorsAtAServer(RetrieverContract):
    @pytest.fixture(autouse=True)
    def close_all(self):
        self.opened = []
        yield
        for store in self.opened:
            store.close()

    def make_retriever(self, tmp_path, documents):
        (tmp_path / "index").mkdir(parents=True, exist_ok=True)
        store = open_store(tmp_path)
        self.opened.append(store)
        store.ingest(documents)
        assert store.wait_for_growth(20.0)
        assert store._live.num_fresh == 0
        return store


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
def test_ids_and_vectors_travel_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with qdrant() as held_there:
        with open_store(tmp_path, held_there.url) as store:
            store.ingest(documents())
            assert store.wait_for_growth(20.0)
            assert [len(points) for points in held_there.collections.values()] == [NUM]
            assert found(store, text(41), 1)[0][0] == "d41"
            store.delete(["d41"])
            assert found(store, text(41), 1)[0][0] != "d41"
            assert store.wait_for_growth(20.0)
            assert [len(points) for points in held_there.collections.values()] == [NUM - 1]
        server_at(held_there.url).close()
        assert len(held_there.bodies) > 5
        assert not any(word in body for body in held_there.bodies for word in ("Room", "item", "thing", "d41"))


def test_a_wrong_key_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with qdrant() as held_there, open_store(tmp_path, held_there.url) as store:
        store.ingest(documents())
        assert store.wait_for_growth(20.0)
        server_at(held_there.url).close()
    assert "status 401" in caplog.text
    assert KEY_VARIABLE in caplog.text


def test_answers_are_those_of_an_exact_search(given: DocumentStore, tmp_path: Path) -> None:
    with DocumentStore.open(tmp_path / "exact", HashingEmbedder()) as exact:
        exact.ingest(documents())
        for question in ("item5 in Room 5", "thing7", "item41"):
            assert [score for _, score in found(given, question)] == [score for _, score in found(exact, question)]
    assert found(given, text(41), 1)[0][0] == "d41"
    assert len(rows_of(tmp_path)) == 1


def test_what_was_deleted_is_found_no_more_and_leaves_the_server(given: DocumentStore, tmp_path: Path) -> None:
    given.delete(["d41", "d3"])
    assert "d41" not in dict(found(given, "item41", NUM))
    assert given.wait_for_growth(20.0)
    assert held(tmp_path) == NUM - 2
    with closing(sqlite3.connect(tmp_path / "index" / DATABASE_NAME)) as connection:
        assert connection.execute("SELECT count(*) FROM tombstones").fetchone() == (0,)


def test_changed_documents_replace_their_vectors(given: DocumentStore, tmp_path: Path) -> None:
    given.ingest([Document(document_id="d5", text="Nothing but zebras.")])
    assert given.wait_for_growth(20.0)
    assert found(given, "Nothing but zebras", 1)[0][0] == "d5"
    assert held(tmp_path) == NUM


def test_files_move_to_the_server_and_back(tmp_path: Path) -> None:
    with open_store(tmp_path, "") as store:
        store.ingest(documents())
        assert store.wait_for_growth(20.0)
        expected = found(store, "item17", 5)
        assert not any(row.is_remote for row in rows_of(tmp_path))
    for wanted in (address(tmp_path), ""):
        with open_store(tmp_path, wanted) as store:
            assert store.wait_for_growth(20.0)
            assert {row.is_remote for row in rows_of(tmp_path)} == {bool(wanted)}
            assert found(store, "item17", 5) == expected
    with DocumentStore.open(tmp_path / "index", HashingEmbedder()) as store:
        assert store.vectors_at == ""


def test_points_of_a_giving_that_was_killed_do_not_stay(
    given: DocumentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(QdrantGrowth, "_put", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        given.ingest(documents(NUM, NUM + 10))
        assert given.wait_for_growth(20.0)
    assert held(tmp_path) == NUM + 10
    assert found(given, text(NUM + 3), 1)[0][0] == f"d{NUM + 3}"  # still searched here
    given.delete([f"d{n}" for n in range(NUM, NUM + 10)])
    given.ingest(documents(100, 103))
    assert given.wait_for_growth(20.0)
    assert held(tmp_path) == NUM + 3


def test_what_the_server_has_lost_is_said_and_given_again(given: DocumentStore, tmp_path: Path) -> None:
    server = server_at(address(tmp_path))
    (name,) = server.names("frag-")
    server.drop(name)
    with pytest.raises(IndexStoreError, match="Qdrant"):
        given.search("item5", 3, RetrievalMode.DENSE)
    assert check_folder(tmp_path / "index").damaged == (f"qdrant:{name}",)
    given.compact()
    assert found(given, text(5), 1)[0][0] == "d5"
    assert held(tmp_path) == NUM
    assert check_folder(tmp_path / "index").damaged == ()


def test_without_a_server_everything_is_searched_here(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open_store(tmp_path, "http://127.0.0.1:1") as store:
        store.ingest(documents())
        assert store.wait_for_growth(20.0)
        assert found(store, text(41), 1)[0][0] == "d41"
    assert "The index does not grow: IndexStoreError" in caplog.text
    assert rows_of(tmp_path) == []


def test_a_removed_index_takes_its_collections_along(tmp_path: Path) -> None:
    coming = tmp_path / "notes" / folder_name("new")
    with DocumentStore.open(coming, HashingEmbedder(), pace=PACE, vectors_at=address(tmp_path)) as store:
        store.ingest(documents())
        assert store.wait_for_growth(20.0)
    assert held(tmp_path) == NUM
    sweep(tmp_path, "notes", keep="")
    assert not coming.exists()
    assert held(tmp_path) == 0
