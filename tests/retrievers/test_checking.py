from pathlib import Path

from frag.types import Document
from retrievers.checking import check_folder
from retrievers.segments.choosing import Pace
from retrievers.store import DocumentStore
from tests.doubles import HashingEmbedder


def test_recall_of_a_grown_index_and_what_is_damaged(tmp_path: Path) -> None:
    documents = [Document(document_id=f"d{n}", text=f"Item{n} in room{n % 9} of house{n % 31}.") for n in range(200)]
    with DocumentStore.open(tmp_path, HashingEmbedder(), pace=Pace(seal_at=100, block=150)) as store:
        store.ingest(documents)
        assert store.wait_for_growth(20.0)
        found = check_folder(tmp_path, questions=20)
        assert (found.num_vectors, found.num_fresh, found.num_segments, found.damaged) == (200, 50, 1, ())
        assert found.recall_at_10 > 0.97
    segment = next((tmp_path / "segments").glob("*.segment"))
    content = bytearray(segment.read_bytes())
    content[100] ^= 255
    segment.write_bytes(content)
    assert check_folder(tmp_path, questions=5).damaged == (segment.name,)


def test_an_empty_index_is_whole(tmp_path: Path) -> None:
    assert check_folder(tmp_path).recall_at_10 == 1.0


def test_recall_that_is_lost_is_seen(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("retrievers.segments.sealed.PROBES", 1)
    monkeypatch.setattr("retrievers.segments.sealed._CODES", 0)
    texts = [f"Item{n} in room{n % 9} of house{n % 31}." for n in range(600)]
    with DocumentStore.open(tmp_path, HashingEmbedder(), pace=Pace(seal_at=100, block=600)) as store:
        store.ingest([Document(document_id=f"d{n}", text=text) for n, text in enumerate(texts)])
        assert store.wait_for_growth(20.0)
    assert check_folder(tmp_path, questions=20).recall_at_10 < 0.97
