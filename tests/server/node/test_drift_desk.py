"""What a node tells of drift: a number and a flag, of open questions and documents alone."""

from collections.abc import Sequence

import numpy as np
import pytest

from frag.protocols import FloatArray
from frag.settings import DriftSettings
from frag.types import AnswerMode, NodeAnswer, RetrievalMode
from server.node.drift_desk import DriftDesk
from server.wire.messages import Ask, DriftSign

WINDOW = 20


class Silo:
    """Questions are numbers: those of a hundred more are another topic."""

    def __init__(self, *, tell: bool = True) -> None:
        self.documents: dict[str, FloatArray] = {}
        self.dimension = 8
        self.desk = DriftDesk(
            DriftSettings(tell=tell, window=WINDOW),
            self.embed,
            lambda: str(len(self.documents)),
            lambda: self.documents,
            lambda: str(self.dimension),
        )
        self.number = 0
        self.embedded = 0

    def embed(self, texts: Sequence[str]) -> FloatArray:
        self.embedded += len(texts)
        return np.stack([vector(int(text), self.dimension) for text in texts])

    def ask(self, topic: int, number: int, mode: AnswerMode = AnswerMode.SCRUB, withheld: str = "") -> None:
        for _ in range(number):
            self.number += 1
            text = "" if withheld else "an answer"
            answer = NodeAnswer(node_id="a", mode=mode, text=text, withheld=withheld, score=0.5 if text else 0.0)
            self.desk.note(ask(str(topic * 100_000 + self.number), mode), answer)


def vector(number: int, dimension: int = 8) -> FloatArray:
    random = np.random.default_rng(number)
    row = random.normal(0, 0.2, dimension)
    row[number // 100_000] += 1
    return (row / np.linalg.norm(row)).astype(np.float32)


def ask(question: str, mode: AnswerMode) -> Ask:
    return Ask(
        request_id=1,
        question=question,
        top_k=5,
        answer_mode=mode,
        retrieval=RetrievalMode.DENSE,
        retrieve_only=False,
        deadline_s=5,
    )


def is_seen(silo: Silo) -> bool:
    sign = silo.desk.sign()
    assert sign is not None
    return sign.is_seen


def test_another_topic_is_told_until_a_run_has_learnt_it() -> None:
    silo = Silo()
    silo.ask(0, 4 * WINDOW)
    assert silo.desk.sign() == DriftSign(strength=0.0, is_seen=False)
    silo.ask(1, WINDOW)
    assert is_seen(silo)
    silo.ask(0, WINDOW)
    assert is_seen(silo), "it stands until something was learnt"
    silo.desk.settle()
    silo.ask(1, 5 * WINDOW)
    assert not is_seen(silo)


@pytest.mark.parametrize(("mode", "withheld"), [(AnswerMode.DP, ""), (AnswerMode.SCRUB, "rate_limited")])
def test_private_questions_and_those_refused_by_rule_are_not_looked_at(mode: AnswerMode, withheld: str) -> None:
    silo = Silo()
    silo.ask(0, 4 * WINDOW)
    assert not is_seen(silo)
    silo.ask(1, 3 * WINDOW, mode, withheld)
    assert not is_seen(silo)
    assert silo.embedded == 4 * WINDOW


def test_rising_abstention_is_told() -> None:
    silo = Silo()
    silo.ask(0, 4 * WINDOW)
    silo.ask(0, WINDOW, withheld="no_evidence")
    assert is_seen(silo)


def test_documents_about_something_else_are_told() -> None:
    silo = Silo()
    silo.documents = {str(n): vector(n) for n in range(60)}
    assert not is_seen(silo)
    silo.documents = silo.documents | {f"more-{n}": vector(1000 + n) for n in range(WINDOW)}
    assert not is_seen(silo)
    silo.documents = silo.documents | {f"other-{n}": vector(100_000 + n) for n in range(WINDOW)}
    assert is_seen(silo)


def test_another_embedder_is_no_drift_and_its_vectors_meet_no_others() -> None:
    silo = Silo()
    silo.documents = {str(n): vector(n) for n in range(60)}
    silo.ask(0, 4 * WINDOW)
    assert not is_seen(silo)
    silo.dimension = 5
    silo.documents = {f"{n}-anew": vector(n, 5) for n in range(90)}
    for _ in range(4):
        silo.ask(0, WINDOW)
        assert not is_seen(silo)
    silo.ask(1, WINDOW)
    assert is_seen(silo)


def test_a_node_that_tells_nothing_looks_at_nothing() -> None:
    silo = Silo(tell=False)
    silo.ask(0, 9 * WINDOW)
    assert silo.desk.sign() is None
    assert silo.embedded == 0
