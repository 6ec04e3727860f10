"""What was acknowledged survives `kill -9` of ingest, delete, merge and swap."""

from pathlib import Path

from frag.types import Document
from retrievers.store import DocumentStore
from tests.doubles import HashingEmbedder
from tests.retrievers.segments.index_kills import Word, check, play


def test_five_kills_lose_nothing_and_bring_nothing_back(tmp_path: Path) -> None:
    found = play(tmp_path / "index", kills=5, seed=7)
    assert found["kills"] == 5
    assert found["documents_not_as_promised"] == 0
    assert found["changes_acknowledged"] > 0


def test_the_check_notices_a_lost_document_and_one_that_came_back(tmp_path: Path) -> None:
    with DocumentStore.open(tmp_path, HashingEmbedder()) as store:
        store.ingest([Document(document_id="a", text="Text of a")])
    word = Word()
    word.begin(["a"], "Text")
    word.keep()
    assert check(tmp_path, word) == 0
    word.begin(["b"], "Text")
    word.keep()
    assert check(tmp_path, word) == 1
    word.begin(["a", "b"], None)
    word.keep()
    assert check(tmp_path, word) == 1
