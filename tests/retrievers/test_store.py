import threading

import numpy as np
import pytest

from frag.errors import IndexStoreError
from frag.types import RetrievalMode
from retrievers import publication
from retrievers.store import DocumentStore
from tests.contracts.retriever_contract import MODES, RetrieverContract
from tests.doubles import HashingEmbedder
from tests.retrievers.corpus import counts, document, found, numbered
from tests.retrievers.samples import write_all


class TestDocumentStoreIsARetriever(RetrieverContract):
    @pytest.fixture(autouse=True)
    def close_all(self):
        self.opened = []
        yield
        for store in self.opened:
            store.close()

    def make_retriever(self, tmp_path, documents):
        store = DocumentStore.open(tmp_path / "index", HashingEmbedder())
        self.opened.append(store)
        store.ingest(documents)
        return store


def test_files_become_searchable(store, tmp_path):
    (tmp_path / "documents").mkdir()
    write_all(tmp_path / "documents")
    (tmp_path / "documents" / "broken.pdf").write_bytes(b"nothing")
    report = store.ingest(tmp_path / "documents")
    assert counts(report) == (7, 0, 0, 0)
    assert (report.num_chunks, report.num_embedded) == (7, 7)
    assert [(skipped.path, skipped.code) for skipped in report.skipped] == [("broken.pdf", "corrupt")]
    assert found(store, "portable") == ["d.pdf"]
    assert store.count() == 7
    first, *_ = store.list_documents()
    assert first == ("a.txt", "a", 11, 1)
    assert "title" not in repr(first)


@MODES
def test_a_deleted_document_is_gone_at_the_next_search(store, mode):
    store.ingest(numbered(5))
    assert found(store, "topic3", mode) == ["d0003"]
    assert store.delete(["d0003", "unknown", "d0003"]) == 1
    assert found(store, "topic3", mode) != ["d0003"]
    assert store.delete(["d0003"]) == 0


def test_deleted_and_replaced_text_is_nowhere_on_the_disk(store, folder):
    secret = "Zebrafinch Quagmire lives at Wobblestreet."
    store.ingest([document("secret", secret), document("edited", f"Before. {secret}"), *numbered(20)])
    traces = [b"Zebrafinch", b"zebrafinch", b"quagmire", b"obblestree"]
    vector = HashingEmbedder().embed([secret])[0].tobytes()
    assert any(trace in path.read_bytes() for path in folder.iterdir() for trace in traces)
    store.delete(["secret"])
    store.ingest(document("edited", "After."))
    for path in folder.iterdir():
        assert not [trace for trace in (*traces, vector) if trace in path.read_bytes()], path


def test_vectors_shared_with_another_document_stay(store, embedder):
    store.ingest([document("a", "Same text."), document("b", "Same text.")])
    store.delete(["a"])
    assert found(store, "same text", RetrievalMode.DENSE) == ["b"]
    store.ingest(document("c", "Same text."))
    assert embedder.num_embedded == 1 + 1  # the text once, and one question


def test_chunk_ids_are_never_used_again(store):
    store.ingest(numbered(3))
    last = max(hit.chunk_id for hit in store.search("document", 10))
    store.delete([f"d{n:04}" for n in range(3)])
    store.ingest(numbered(1))
    assert [hit.chunk_id for hit in store.search("document", 10)] == [last + 1]


def test_everything_is_there_after_reopening(folder, embedder):
    with DocumentStore.open(folder, embedder) as store:
        store.ingest(numbered(5))
        store.delete(["d0001"])
        expected = store.search("topic2", 5)
        revision = store.revision()
    with DocumentStore.open(folder, embedder) as store:
        assert store.search("topic2", 5) == expected
        assert (store.count(), store.revision()) == (4, revision)


def test_hits_of_repeated_texts_leave_room_for_others(store):
    copies = [document(f"copy{n}", f"Steam  engine {' ' * n}drove mills.") for n in range(300)]
    store.ingest([*copies, document("other", "Engine of another kind."), document("third", "Third thing.")])
    for mode in RetrievalMode:
        assert len(store.search("steam engine drove mills", 3, mode)) == 3


def test_search_vector_needs_no_embedding(store, embedder):
    store.ingest(numbered(3))
    vector = embedder.embed(["topic1"])[0]
    before = embedder.num_embedded
    assert store.search_vector(vector, "topic1", 2)[0].document_id == "d0001"
    assert embedder.num_embedded == before


def test_a_long_log_of_removals_is_cut_and_readers_load_anew(folder, embedder, monkeypatch):
    monkeypatch.setattr(publication, "_MIN_REMOVALS_KEPT", 3)
    with DocumentStore.open(folder, embedder) as store, DocumentStore.open(folder, embedder) as reader:
        store.ingest(numbered(8))
        assert found(reader, "topic7") == ["d0007"]
        for gone in range(7):
            store.delete([f"d{gone:04}"])
            assert [hit.document_id for hit in reader.search("document", 10)] == [
                f"d{n:04}" for n in range(gone + 1, 8)
            ]


def test_searches_go_on_while_an_ingest_runs(store, embedder):
    store.ingest(numbered(50))
    stop, failures, done = threading.Event(), [], []

    def search():
        while not stop.is_set():
            hits = store.search("Document number7 tells of topic7.", 3)
            if not hits or hits[0].document_id != "d0007" or len({hit.chunk_id for hit in hits}) != 3:
                failures.append(hits)
            done.append(1)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for first in range(100, 1000, 100):
            store.ingest(numbered(100, first))
            assert found(store, f"topic{first + 50}") == [f"d{first + 50:04}"]
            store.delete([f"d{first:04}"])
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert len(done) > 20


def test_a_search_does_not_wait_for_a_long_ingest(store, embedder):
    store.ingest(numbered(10))
    inside, go_on = threading.Event(), threading.Event()

    def pause(_done, _total):
        inside.set()
        assert go_on.wait(20)

    thread = threading.Thread(target=store.ingest, args=([document("d0005", "New text."), *numbered(400)], pause))
    thread.start()
    try:
        assert inside.wait(20)
        assert found(store, "topic3") == ["d0003"]
        assert store.delete(["d0005", "d0006"]) == 2
        assert store.count() == 8
    finally:
        go_on.set()
        thread.join()
    assert store.count() == 398  # the deletions were not undone, whether the document had changed or not


def test_a_closed_store_says_so(folder, embedder):
    store = DocumentStore.open(folder, embedder)
    store.close()
    store.close()
    for use in (lambda: store.search("x", 1), lambda: store.ingest([]), lambda: store.delete([])):
        with pytest.raises(IndexStoreError, match="closed"):
            use()


def test_damage_found_while_searching_is_an_index_error(folder, embedder):
    with DocumentStore.open(folder, embedder) as store:
        store.ingest(numbered(2000))
    path = folder / "index.db"
    content = bytearray(path.read_bytes())
    content[8192:] = np.random.default_rng(0).bytes(len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(IndexStoreError, match=r"(M|m)ove (it|the index) away"):
        DocumentStore.open(folder, embedder).search("topic", 1)


def test_vectors_of_a_wrong_dimension_are_an_index_error(store, folder):
    store.ingest(numbered(2))
    lying = HashingEmbedder(32)
    lying.fingerprint = HashingEmbedder().fingerprint
    with pytest.raises(IndexStoreError, match="dimension 32"):
        DocumentStore.open(folder, lying)


def test_repr_shows_the_folder_only(store, folder):
    assert repr(store) == f"DocumentStore('{folder}')"
