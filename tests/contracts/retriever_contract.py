"""What every `frag.protocols.Retriever` does. Inherit, and give `make_retriever`."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frag.protocols import Retriever
from frag.types import Document, RetrievalMode
from retrievers.hybrid import normalise_text

DOCUMENTS = (
    Document(document_id="telephone", text="Alexander Bell invented the telephone in 1876."),
    Document(document_id="engine", text="The steam engine of James Watt drove mills and ships."),
    Document(document_id="copy", text="The  steam engine of James Watt drove mills and SHIPS."),
    Document(document_id="aspirin", text="Aspirin lowers fever; doctors advise against it for children."),
    Document(document_id="geneva", text="Genève lies at the western end of Lake Léman."),
)

MODES = pytest.mark.parametrize("mode", list(RetrievalMode))


# several classes inherit the one property, each with retrievers of its own
SUPPRESSED = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]


class RetrieverContract:
    @pytest.fixture
    def retriever(self, tmp_path) -> Retriever:
        return self.make_retriever(tmp_path, DOCUMENTS)

    def make_retriever(self, tmp_path, documents: Sequence[Document]) -> Retriever:
        raise NotImplementedError

    @MODES
    def test_finds_the_document_that_answers(self, retriever, mode):
        (best, *_) = retriever.search("who invented the telephone", 3, mode)
        assert best.document_id == "telephone"
        assert best.text == DOCUMENTS[0].text[best.start_char : best.end_char]

    @MODES
    @pytest.mark.parametrize("top_k", [1, 2, 100])
    def test_gives_at_most_top_k_in_order_of_rank_score(self, retriever, mode, top_k):
        hits = retriever.search("the steam engine", top_k, mode)
        assert 1 <= len(hits) <= top_k
        assert [hit.rank_score for hit in hits] == sorted((hit.rank_score for hit in hits), reverse=True)

    @MODES
    def test_no_two_hits_have_the_same_text(self, retriever, mode):
        texts = [normalise_text(hit.text) for hit in retriever.search("the steam engine", 10, mode)]
        assert len(texts) == len(set(texts)) == 4

    def test_score_is_the_cosine_in_both_modes(self, retriever):
        question = "doctors advise against the telephone"
        dense = {hit.chunk_id: hit.score for hit in retriever.search(question, 10, RetrievalMode.DENSE)}
        hybrid = {hit.chunk_id: hit.score for hit in retriever.search(question, 10, RetrievalMode.HYBRID)}
        shared = dense.keys() & hybrid.keys()
        assert len(shared) >= 3
        assert {key: dense[key] for key in shared} == {key: hybrid[key] for key in shared}
        assert all(-1 <= score <= 1 for score in hybrid.values())

    @settings(max_examples=60, deadline=None, suppress_health_check=SUPPRESSED)
    @given(question=st.text(max_size=80) | st.text(alphabet="\"*()^:-+ANDORNT\0{}~'", max_size=40))
    def test_any_text_is_a_question(self, retriever, question):
        for mode in RetrievalMode:
            assert len(retriever.search(question, 3, mode)) == 3

    @MODES
    def test_is_deterministic_and_thread_safe(self, retriever, mode):
        expected = retriever.search("fever of children", 4, mode)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: retriever.search("fever of children", 4, mode), range(40)))
        assert all(answer == expected for answer in answers)

    @MODES
    def test_an_empty_collection_has_no_hits(self, tmp_path, mode):
        assert self.make_retriever(tmp_path / "empty", ()).search("anything", 5, mode) == []

    @pytest.mark.parametrize("top_k", [0, -1])
    def test_top_k_below_one_is_refused(self, retriever, top_k):
        with pytest.raises(ValueError, match="top_k"):
            retriever.search("anything", top_k)
