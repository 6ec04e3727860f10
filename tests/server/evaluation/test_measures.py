"""Measures against values worked out by hand."""

from pathlib import Path

import pytest

from frag.errors import BadRequestError
from server.evaluation.datasets import LabelledQuestion, load_dataset, sample_questions, split_into_silos
from server.evaluation.measures import answer_quality, interval_95, rank_documents, recalls


def question(document_id: str, *golds: str) -> LabelledQuestion:
    return LabelledQuestion(text="?", golds=golds or ("x",), document_id=document_id)


def test_documents_rank_by_their_best_chunk_whatever_the_order_of_nodes() -> None:
    citations = [("b", 0.4), ("a", 0.5), ("b", 0.9), ("c", 0.5)]
    assert rank_documents(citations) == ["b", "a", "c"]
    assert rank_documents(citations[::-1]) == ["b", "a", "c"]


def test_recall_counts_the_document_among_the_first_k() -> None:
    rankings = [["a", "b"], ["b", "c", "d", "e", "f", "a"], ["b"], []]
    questions = [question("a")] * 4
    assert recalls(rankings, questions) == {"recall@1": 0.25, "recall@5": 0.25, "recall@10": 0.5}


def test_answers_are_measured_as_squad_does_and_abstentions_count_as_wrong() -> None:
    answers = ["The cat", "a black cat sat", None]
    questions = [question("d", "cat"), question("d", "black cat"), question("d", "dog")]
    quality = answer_quality(answers, questions)
    # token F1: 1, then precision 2/3 and recall 1 -> 0.8, then 0
    assert quality == {"exact_match": 0.3333, "token_f1": 0.6, "abstention": 0.3333}


def test_an_interval_of_equal_differences_is_that_difference() -> None:
    assert interval_95([0.25] * 30) == (0.25, 0.25)
    low, high = interval_95([1.0, -1.0] * 50)
    assert low < 0 < high


SQUAD = """{"data": [
 {"title": "A", "paragraphs": [{"context": "One.", "qas": [{"question": "q1", "answers": [{"text": "one"}]}]},
                               {"context": "Two.", "qas": [{"question": "q2", "answers": []}]}]},
 {"title": "B", "paragraphs": [{"context": "Three.", "qas": [{"question": "q3", "answers": [{"text": "three"}]}]}]}]}"""
MEDQUAD = (
    '{"id": "1", "source": "NIH", "question": "q", "answer": "a"}\n'
    '{"id": "2", "source": "CDC", "question": "q2", "answer": "a2"}\n'
)


def test_squad_and_medquad_are_told_by_their_content(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(SQUAD)
    (tmp_path / "m.jsonl").write_text(MEDQUAD)
    squad, medquad = load_dataset(tmp_path / "s.json"), load_dataset(tmp_path / "m.jsonl")
    assert [d.document_id for d in squad.documents["A"]] == ["0-0", "0-1"]
    assert [q.document_id for q in squad.questions] == ["0-0", "1-0"], "the one without an answer is left out"
    assert list(medquad.documents) == ["NIH", "CDC"]
    assert medquad.questions[1].golds == ("a2",)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"data": [{}]}', '{"id": 1}\n', "not json", '{"data": []}', MEDQUAD + "{broken"]
)
def test_a_malformed_data_set_says_what_is_expected(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.json"
    file.write_text(text)
    with pytest.raises(BadRequestError, match="SQuAD"):
        load_dataset(file)
    with pytest.raises(BadRequestError, match="cannot be read"):
        load_dataset(tmp_path / "absent.json")


def test_natural_silos_stay_whole_and_are_balanced(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(SQUAD)
    dataset = load_dataset(tmp_path / "s.json")
    silos = split_into_silos(dataset, 2, seed=0)
    assert sorted(len(documents) for documents in silos.values()) == [1, 2]
    assert split_into_silos(dataset, 2, seed=0) == silos
    assert [len(d) for d in split_into_silos(dataset, 1, seed=0).values()] == [3]
    with pytest.raises(BadRequestError, match="--silos"):
        split_into_silos(dataset, 3, seed=0)


def test_a_sample_is_seeded_and_keeps_all_documents(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(SQUAD)
    dataset = load_dataset(tmp_path / "s.json")
    sample = sample_questions(dataset, 1, seed=3)
    assert (len(sample.questions), sample.num_documents) == (1, 3)
    assert sample_questions(dataset, 1, seed=3) == sample
    assert sample_questions(dataset, 0, seed=3) is dataset
