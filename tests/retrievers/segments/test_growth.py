"""A collection that outgrows exact search: the same answers, from sealed files that may be lost."""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from frag.types import Document, RetrievalMode
from retrievers.compaction import compact_folder
from retrievers.database import DATABASE_NAME, connect
from retrievers.segments import manifest
from retrievers.segments.choosing import Pace
from retrievers.segments.growth import Growth, growth_lock
from retrievers.segments.segment_file import SegmentFile
from retrievers.store import DocumentStore
from tests.doubles import HashingEmbedder

NUM = 240
EMBEDDER = HashingEmbedder()


def documents(first: int = 0, last: int = NUM) -> list[Document]:
    return [
        Document(document_id=f"d{n}", text=f"Room {n % 7} holds item{n} and thing{n % 60}.") for n in range(first, last)
    ]


@pytest.fixture
def grown(tmp_path: Path) -> Iterator[DocumentStore]:
    """80 fresh passages over segments of 100 and 60."""
    with DocumentStore.open(tmp_path, EMBEDDER) as store:
        for first, last in ((0, 100), (100, 160), (160, NUM)):
            store.ingest(documents(first, last))
            if last < NUM:
                grow(store, "seal", seal_at=50)
        assert 1 <= num_segments(tmp_path) <= 2
        yield store


def grow(store: DocumentStore, step: str, seal_at: int = 50) -> bool:
    folder = store._path.parent
    with growth_lock(folder, 1.0), closing(connect(store._path)) as connection:
        return bool(getattr(Growth(connection, folder, store._live.commit, seal_at=seal_at), step)())


def num_segments(folder: Path) -> int:
    with closing(sqlite3.connect(folder / DATABASE_NAME)) as connection:
        return len(manifest.read_rows(connection))


def found(store: DocumentStore, question: str, top_k: int = 10) -> list[tuple[str, float]]:
    return [(hit.document_id, hit.score) for hit in store.search(question, top_k, RetrievalMode.DENSE)]


def cosines(question: str) -> dict[str, float]:
    """Of all documents, best first."""
    vectors, vector = EMBEDDER.embed([document.text for document in documents()]), EMBEDDER.embed([question])[0]
    scores = (vectors.astype(np.float64) * vector).sum(axis=1).astype(np.float32)
    return {f"d{n}": float(scores[n]) for n in np.argsort(-scores, kind="stable")}


def assert_exact(store: DocumentStore, gone: Collection[str] = ()) -> None:
    """Ten hits with the scores of an exact search; which of those that tie at the edge is left open."""
    for question in QUESTIONS:
        expected = {name: score for name, score in cosines(question).items() if name not in gone}
        hits = found(store, question)
        assert [score for _, score in hits] == list(expected.values())[:10]
        assert all(expected[name] == score for name, score in hits)


QUESTIONS = ["item5 in Room 5", "thing20", "item130", "item200 and thing1"]


@pytest.mark.parametrize("step", [None, "seal", "merge"])
def test_answers_are_those_of_an_exact_search_wherever_vectors_lie(grown: DocumentStore, step: str | None) -> None:
    if step:
        grow(grown, step)  # the background may have been first
    assert_exact(grown)
    vector = EMBEDDER.embed([QUESTIONS[0]])[0]
    matches = {hit.document_id: hit.score for hit in grown.matches(vector, 0.3)}
    assert matches == {name: score for name, score in cosines(QUESTIONS[0]).items() if score >= 0.3}


def test_what_was_deleted_is_never_found_and_leaves_the_files_at_compaction(grown: DocumentStore) -> None:
    gone = {"d5", "d130", "d200"}
    assert grown.delete(gone) == 3
    assert_exact(grown, gone)
    folder = grown._path.parent
    before = all_ids(folder)
    compact_folder(folder)
    assert len(before) == 160
    assert before - all_ids(folder) == {6, 131}
    assert_exact(grown, gone)


def all_ids(folder: Path) -> set[int]:
    files = [SegmentFile.open(path) for path in (folder / "segments").glob("*.segment")]
    return {one for file in files for one in file.ids.tolist()}


def test_a_deletion_beside_a_sealing_stays(grown: DocumentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Growth._write

    def delete_meanwhile(self: Growth, *arguments: object) -> object:
        grown.delete(["d200", "d5"])
        return write(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Growth, "_write", delete_meanwhile)
    assert grow(grown, "seal")
    monkeypatch.undo()
    with DocumentStore.open(grown._path.parent, EMBEDDER) as another:
        for store in (grown, another):
            assert "d200" not in dict(found(store, "item200", NUM))
            assert store.count_chunks() == len(store._live._snapshot.vectors) == NUM - 2


@pytest.mark.parametrize("kind", ["segment", "quantiser"])
@pytest.mark.parametrize("content", [None, b"", b"x" * 100])
def test_a_lost_file_costs_no_document(grown: DocumentStore, kind: str, content: bytes | None) -> None:
    folder = grown._path.parent
    for path in (folder / "segments").glob(f"*.{kind}"):
        path.unlink() if content is None else path.write_bytes(content)
    with DocumentStore.open(folder, EMBEDDER) as store:
        assert_exact(store)
        compact_folder(folder)
        assert_exact(store)
        assert not len(store._live._snapshot.vectors.fresh.ids_between(1, 160))


def test_a_flipped_code_is_noticed_and_made_anew(grown: DocumentStore) -> None:
    folder = grown._path.parent
    path = next((folder / "segments").glob("*.segment"))
    content = bytearray(path.read_bytes())
    content[10] ^= 1
    path.write_bytes(content)
    assert not SegmentFile.open(path).is_sound()
    compact_folder(folder)
    assert all(SegmentFile.open(path).is_sound() for path in (folder / "segments").glob("*.segment"))


def test_another_embedder_takes_no_segment_over(grown: DocumentStore) -> None:
    folder = grown._path.parent
    with DocumentStore.open(folder, HashingEmbedder(seed="other")) as other:
        other.ingest([], rebuild=True)
        assert num_segments(folder) == 0
        assert other.search("item5", 1)[0].document_id == "d5"


def test_the_background_seals_merges_and_sweeps(tmp_path: Path) -> None:
    with DocumentStore.open(tmp_path, EMBEDDER, pace=Pace(seal_at=40, block=60, grace_s=0.0)) as store:
        store.ingest(documents())
        assert store.wait_for_growth(20.0)
        assert store._live.num_fresh < 40
        assert 1 <= num_segments(tmp_path) <= 2
        assert_exact(store)


def test_what_comes_later_is_sealed_sooner(tmp_path: Path) -> None:
    pace = Pace(seal_at=100, seal_again_at=20, block=200, grace_s=0.0)
    with DocumentStore.open(tmp_path, EMBEDDER, pace=pace) as store:
        for last, num_fresh in ((99, 99), (120, 0), (139, 19), (NUM, 0)):
            store.ingest(documents(0, last))
            assert store.wait_for_growth(20.0)
            assert store._live.num_fresh == num_fresh
        assert_exact(store)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_unforeseen_failure_does_not_end_growth_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with DocumentStore.open(tmp_path, EMBEDDER, pace=Pace(seal_at=40, block=60, grace_s=0.0)) as store:
        with monkeypatch.context() as patch:
            patch.setattr(Growth, "seal", lambda _self: 1 / 0)
            store.ingest(documents(0, 100))
            assert store.wait_for_growth(20.0)
            assert num_segments(tmp_path) == 0
        store.ingest(documents())
        assert store.wait_for_growth(20.0)
        assert num_segments(tmp_path) >= 1


def test_a_small_collection_has_no_files_and_no_thread(tmp_path: Path) -> None:
    with DocumentStore.open(tmp_path, EMBEDDER) as store:
        store.ingest(documents())
        assert store._keeper._thread is None
    assert not (tmp_path / "segments").exists()


def test_an_index_from_before_segments_opens_with_all_it_held(tmp_path: Path) -> None:
    with DocumentStore.open(tmp_path, EMBEDDER) as store:
        store.ingest(documents())
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as connection:
        connection.executescript(
            "DROP TABLE segments; DROP TABLE tombstones; ALTER TABLE collection DROP COLUMN layout;"
            "ALTER TABLE collection DROP COLUMN vectors_at;"
            "PRAGMA user_version=1"
        )
    with DocumentStore.open(tmp_path, EMBEDDER, pace=Pace(seal_at=50, block=100, grace_s=0.0)) as store:
        assert store.wait_for_growth(20.0)
        assert_exact(store)
    assert num_segments(tmp_path) >= 1
