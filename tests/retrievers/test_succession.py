"""An index to come follows the one that is searched, document by document, and shares no passage id with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from retrievers.store import DocumentStore
from retrievers.succession import Successor
from tests.doubles import HashingEmbedder
from tests.retrievers.corpus import counts, document, found, numbered


@pytest.fixture
def coming(tmp_path: Path) -> Iterator[DocumentStore]:
    with DocumentStore.open(tmp_path / "coming", HashingEmbedder(seed="new")) as opened:
        yield opened


def brought_level(successor: Successor) -> int:
    steps = 0
    while not successor.step().is_level:
        steps += 1
    return steps


def test_what_changes_meanwhile_is_followed(store: DocumentStore, coming: DocumentStore) -> None:
    store.ingest(numbered(300))
    successor = Successor(store, coming)
    assert (successor.look().done, successor.look().total) == (0, 300)
    advance = successor.step()
    assert (advance.done, advance.total, advance.is_level) == (128, 300, False)
    store.delete(["d0001", "d0299"])
    store.ingest(
        [document("d0002", "The lighthouse was painted green."), document("d9999", "An owl sits on the roof.")]
    )
    brought_level(successor)
    assert coming.inventory() == store.inventory()
    assert found(coming, "green lighthouse") == ["d0002"]
    assert found(coming, "owl on the roof") == ["d9999"]


def test_the_next_ingest_of_the_sources_finds_nothing_new(store: DocumentStore, coming: DocumentStore) -> None:
    sources = [document("a", "One line.\n\n\tAnother   line.\nAnd a third."), document("b", "Short.", title="B")]
    store.ingest(sources)
    brought_level(Successor(store, coming))
    assert counts(coming.ingest(sources)) == (0, 0, 2, 0)


def test_the_ids_of_passages_mean_nothing_in_the_other_index(store: DocumentStore, coming: DocumentStore) -> None:
    store.ingest(numbered(10))
    brought_level(Successor(store, coming))
    store.ingest(numbered(10, first=10))
    brought_level(Successor(store, coming))
    old = {chunk_id for chunk_id, _ in store.read_chunks(0, 100)}
    new = {chunk_id for chunk_id, _ in coming.read_chunks(0, 100)}
    assert len(old) == len(new) == 20
    assert not old & new
    assert not coming.holds(old)
