"""Scores of nodes with different embedders meet on one scale, and are left alone where all nodes share one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frag.answers.best import Best
from frag.answers.calibration import answer_score, evidence_of
from frag.answers.comparable import CALIBRATED, COSINE, comparable
from frag.types import AnswerMode, Citation, NodeAnswer, Scale


def answer(node: str, cosine: float, embedder: str, scale: Scale | None = None, **fields: object) -> NodeAnswer:
    given_fields = {
        "mode": AnswerMode.NONE,
        "text": f"says {node}",
        "score": answer_score(cosine, -0.5),
        "token_logprob": -0.5,
        "citations": (Citation(document_alias="0" * 16, score=cosine),),
    }
    return NodeAnswer(node_id=node, embedder=embedder, scale=scale, **(given_fields | fields))  # type: ignore[arg-type]


SAME, WIDE = Scale(slope=1.0, offset=0.0), Scale(slope=2.0, offset=-1.0)


def test_nodes_that_share_an_embedder_keep_their_cosines() -> None:
    answers = [answer("a", 0.9, "x", WIDE), answer("b", 0.2, "x", WIDE)]
    assert comparable(answers) == (answers, COSINE)
    assert comparable([answer("a", 0.9, ""), answer("b", 0.2, "")])[1] == COSINE


async def test_a_high_cosine_of_an_embedder_whose_cosines_are_all_high_does_not_win() -> None:
    answers = [answer("a", 0.6, "x", SAME), answer("b", 0.7, "y", WIDE)]
    calibrated, said = comparable(answers)
    assert said == CALIBRATED
    assert [a.citations[0].score for a in calibrated] == pytest.approx([0.6, 0.4])  # 2 · 0.7 - 1
    assert [a.score for a in calibrated] == pytest.approx([answer_score(0.6, -0.5), answer_score(0.4, -0.5)])
    assert (await Best().aggregate("?", answers)).contributors == ("b",)
    assert (await Best().aggregate("?", calibrated)).contributors == ("a",)


def test_a_node_that_does_not_say_how_its_scores_compare_counts_least() -> None:
    calibrated, _ = comparable([answer("a", 0.1, "x", SAME), answer("old", 0.99, "")])
    assert calibrated[1].score == 0.0
    assert calibrated[1].citations[0].score == -1.0


def test_answers_under_dp_stay_as_they_are() -> None:
    private = answer("p", 0.0, "", mode=AnswerMode.DP, score=0.5, citations=())
    assert comparable([private, answer("a", 0.5, "x", SAME)]) == ([private, answer("a", 0.5, "x", SAME)], COSINE)
    calibrated, said = comparable([private, answer("a", 0.5, "x", SAME), answer("b", 0.5, "y", WIDE)])
    assert (calibrated[0], said) == (private, CALIBRATED)


@given(st.floats(-1, 1), st.floats(-10, 0))
def test_the_evidence_behind_a_score_is_found_again(cosine: float, logprob: float) -> None:
    assert evidence_of(answer_score(cosine, logprob), logprob) == pytest.approx(cosine, abs=1e-6)


def test_hostile_numbers_stay_in_range() -> None:
    wild = Scale(slope=1000.0, offset=1000.0)
    answers = [
        answer("a", 0.5, "x", SAME),
        answer("b", -1.0, "y", wild, score=1.0),
        answer("c", 1.0, "z", wild, score=0.0),
    ]
    calibrated, _ = comparable(answers)
    assert all(0 <= a.score <= 1 and -1 <= a.citations[0].score <= 1 for a in calibrated)
    assert evidence_of(float("nan"), -1.0) == 0.0
