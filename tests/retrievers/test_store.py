import threading

import numpy as np
import pytest

from frag.errors import DocumentError, IndexStoreError
from frag.types import Document, RetrievalMode
from retrievers import publication
from retrievers.ingest import restore_text
from retrievers.store import DocumentStore
from tests.contracts.retriever_contract import MODES, RetrieverContract
from tests.doubles import HashingEmbedder
from tests.retrievers.samples import write_all


def document(document_id, text, title=""):
    return Document(document_id=document_id, text=text, title=title)


def numbered(count, first=0):
    return [document(f"d{n:04}", f"Document number{n} tells of topic{n}.") for n in range(first, first + count)]


def found(store, question, mode=RetrievalMode.HYBRID, top_k=1):
    return [hit.document_id for hit in store.search(question, top_k, mode)]


def counts(report):
    return report.added, report.updated, report.unchanged, report.removed


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


def test_only_what_is_new_is_embedded(store, embedder):
    store.ingest(numbered(10))
    assert counts(store.ingest(numbered(10))) == (0, 0, 10, 0)
    assert embedder.num_embedded == 10
    report = store.ingest([*numbered(10), document("d0003", "Something else."), document("copy", "Something else.")])
    assert counts(report) == (1, 0, 10, 0)
    assert [(s.path, s.code) for s in report.skipped] == [("d0003", "duplicate_id")]
    assert counts(store.ingest(document("d0003", "Something else."))) == (0, 1, 0, 0)
    assert embedder.num_embedded == 11


def test_an_edit_embeds_the_changed_chunks_only(store, embedder):
    paragraphs = [f"Paragraph{n} " + "word " * 15 for n in range(10)]
    store.ingest(document("d", "\n\n".join(paragraphs)), chunk_tokens=20, overlap_tokens=0)
    assert embedder.num_embedded == store.count_chunks() == 10
    paragraphs[4] = "Changed " + "word " * 15
    report = store.ingest(document("d", "\n\n".join(paragraphs)), chunk_tokens=20, overlap_tokens=0)
    assert (counts(report), report.num_embedded, report.num_chunks) == ((0, 1, 0, 0), 1, 10)
    assert [hit.text[:7] for hit in store.search("changed", 1)] == ["Changed"]
    assert not any(hit.text.startswith("Paragraph4") for hit in store.search("paragraph4", 10))


def test_other_chunk_sizes_and_titles_are_updates(store):
    text = "One sentence here. Another sentence there. " * 4
    store.ingest(document("d", text))
    assert counts(store.ingest(document("d", text, title="Title"))) == (0, 1, 0, 0)
    assert counts(store.ingest(document("d", text, title="Title"), chunk_tokens=9, overlap_tokens=0)) == (0, 1, 0, 0)
    assert store.count_chunks() > 1


def test_missing_documents_are_removed_on_request_only(store):
    store.ingest(numbered(4))
    assert counts(store.ingest(numbered(2))) == (0, 0, 2, 0)
    assert counts(store.ingest(numbered(2), remove_missing=True)) == (0, 0, 2, 2)
    assert found(store, "topic3") != ["d0003"]
    assert counts(store.ingest([], remove_missing=True)) == (0, 0, 0, 2)
    assert store.search("topic1", 3) == []


def test_a_file_that_cannot_be_read_now_keeps_what_was_indexed(store, tmp_path):
    sources = tmp_path / "documents"
    (sources / "sub").mkdir(parents=True)
    for name in ("broken.txt", "emptied.txt", "gone.txt", "sub/inner.txt"):
        (sources / name).write_text(f"About {name}.")
    (sources / "rows.jsonl").write_text('"row one"\n"row two"\n"row three"')
    store.ingest(sources)
    (sources / "broken.txt").write_bytes(b"\xff\xff")
    (sources / "emptied.txt").write_text("")
    (sources / "gone.txt").unlink()
    (sources / "rows.jsonl").write_text('"row one"\nbroken')
    report = store.ingest(sources, remove_missing=True)
    kept = [info.document_id for info in store.list_documents()]
    assert kept == ["broken.txt", "rows.jsonl#1", "rows.jsonl#2", "sub/inner.txt"]
    assert report.removed == 3


def test_a_source_that_is_gone_removes_nothing(store, tmp_path):
    store.ingest(numbered(2))
    with pytest.raises(DocumentError, match="no file or folder"):
        store.ingest(tmp_path / "unmounted", remove_missing=True)
    assert store.count() == 2


def test_documents_that_cannot_be_stored_are_reported(store):
    refused = [document("", "x"), document("blank", " \n"), document("lone", "\ud800")]
    report = store.ingest([*refused, document("good", "good")])
    assert [skipped.code for skipped in report.skipped] == ["corrupt", "empty", "corrupt"]
    assert store.count() == 1


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


class Stopping(HashingEmbedder):
    """Fails like Ctrl-C at the third batch."""

    def embed(self, texts, progress=None):
        if self.num_embedded >= 512:
            raise KeyboardInterrupt
        return super().embed(texts, progress)


def test_an_interrupted_ingest_is_taken_up_where_it_stopped(folder, embedder):
    with DocumentStore.open(folder, Stopping()) as store:
        store.ingest(numbered(2, first=5000))
        with pytest.raises(KeyboardInterrupt):
            store.ingest(numbered(1000))
        assert store.count() == 2
    with DocumentStore.open(folder, embedder) as store:
        report = store.ingest(numbered(1000))
        assert (store.count(), report.num_embedded) == (1002, 1000 - 512)


def test_progress_counts_texts_to_embed(store):
    calls = []
    store.ingest(numbered(600), lambda done, total: calls.append((done, total)))
    assert calls == [(0, 600), (256, 600), (512, 600), (600, 600)]


def test_another_embedder_needs_a_rebuild(folder, embedder):
    with DocumentStore.open(folder, embedder) as store:
        store.ingest([*numbered(3), document("old", "First paragraph.\n\nSecond paragraph.")])
        other = HashingEmbedder(32, seed="other")
        with DocumentStore.open(folder, other) as reopened:
            for use in (lambda: reopened.search("topic1", 1), lambda: reopened.ingest(numbered(1))):
                with pytest.raises(IndexStoreError, match="frag node ingest --rebuild"):
                    use()
            assert reopened.count() == 4
            assert reopened.delete(["d0000"]) == 1
            report = reopened.ingest([*numbered(2, first=1), document("new", "New.")], rebuild=True)
            assert counts(report) == (1, 0, 2, 0)
            assert report.num_embedded == 4
            assert found(reopened, "topic1") == ["d0001"]
            assert found(reopened, "second paragraph") == ["old"]
        with pytest.raises(IndexStoreError, match="another embedder"):
            store.search("topic1", 1)


def test_an_empty_index_takes_any_embedder(folder, embedder):
    with DocumentStore.open(folder, embedder) as store:
        store.ingest(numbered(1))
        store.delete(["d0000"])
    with DocumentStore.open(folder, HashingEmbedder(seed="other")) as store:
        store.ingest(numbered(1))
        assert found(store, "topic0") == ["d0000"]


def test_text_is_restored_from_overlapping_chunks():
    text = "One. Two.\n\nThree.  \n"
    chunks = [(0, "One. Two."), (5, "Two.\n\nThree.")]
    assert restore_text(chunks, len(text)) == "One. Two.\n\nThree.\n\n\n"
    assert restore_text([(2, "a"), (4, "b")], 5) == "\n\na b"


def test_an_embedding_deleted_beside_an_ingest_is_made_again(store, embedder):
    store.ingest(document("old", "Shared text."))

    def delete_old(done, total):
        if done == total:
            store.delete(["old"])

    report = store.ingest(document("new", "Shared text."), delete_old)
    assert (report.added, report.num_embedded) == (1, 1)
    assert found(store, "shared text") == ["new"]


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
