import pytest

from frag.errors import DocumentError, IndexStoreError
from retrievers.ingest import restore_text
from retrievers.store import DocumentStore
from tests.doubles import HashingEmbedder
from tests.retrievers.corpus import counts, document, found, numbered


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
