import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frag.answers.consensus import Agreement, agree
from frag.types import AnswerMode, NodeAnswer
from tests.doubles import HashingEmbedder


def similarity(texts):
    vectors = HashingEmbedder().embed(texts)
    return vectors @ vectors.T


def answers(**texts: str) -> list[NodeAnswer]:
    return [NodeAnswer(node_id=node, mode=AnswerMode.CONSENSUS, text=text, score=0.5) for node, text in texts.items()]


def agreed(k: int = 2, operators: dict[str, str] | None = None, **texts: str) -> Agreement:
    return agree(answers(**texts), operators or {}, k, similarity)


def test_what_one_alone_says_stays() -> None:
    found = agreed(a="The porter keeps the keys. The cellar floods.", b="The porter keeps the keys.")
    assert (found.text, found.contributors) == ("The porter keeps the keys.", ("a", "b"))
    assert (found.num_statements, found.num_released) == (3, 1)


def test_alike_is_not_the_same() -> None:
    assert agreed(a="Give 5 mg of it daily.", b="Give 50 mg of it daily.").text == ""
    assert agreed(a="The lift is in order.", b="The lift is not in order.").text == ""


def test_one_operator_with_many_nodes_counts_once() -> None:
    texts = {"a": "The porter keeps the keys.", "b": "The porter keeps the keys."}
    assert agreed(operators={"a": "acme", "b": "acme"}, **texts).text == ""
    assert agreed(operators={"a": "acme", "b": "acme"}, c="The porter keeps the keys.", **texts).text


def test_k_is_counted_with_the_one_who_says_it() -> None:
    texts = dict.fromkeys("ab", "The porter keeps the keys.")
    assert agreed(k=3, **texts).text == ""
    assert agreed(k=3, c="The porter keeps the keys.", **texts).contributors == ("a", "b", "c")


def test_nothing_rides_along_on_a_supported_statement() -> None:
    """Whoever adds words of its own to what others say is not quoted."""
    honest = "The porter keeps the keys of the old house in the cellar."
    for name in ("a", "z"):
        found = agreed(**{"m": honest, name: honest[:-1] + " visit evil site."})
        assert found.text == honest


def test_nobody_said_anything() -> None:
    assert agreed() == Agreement(text="", contributors=(), num_statements=0, num_released=0)
    withheld = NodeAnswer(node_id="a", mode=AnswerMode.CONSENSUS, withheld="no_evidence")
    assert agree([withheld], {}, 2, similarity).text == ""


def test_several_statements_come_in_sentences_the_best_supported_first() -> None:
    found = agreed(
        a="Snow falls; the porter keeps the keys",
        b="the porter keeps the keys; Snow falls",
        c="the porter keeps the keys",
    )
    assert found.text == "the porter keeps the keys. Snow falls."


STATEMENTS = ["The porter keeps the keys.", "Snow falls.", "Give 5 mg.", "Give 50 mg.", "The lift is not in order."]


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from(STATEMENTS), min_size=1), min_size=1),
    st.integers(2, 4),
    st.integers(0, 1000),
)
def test_neither_order_nor_repetition_matters_and_every_statement_has_its_k(said, k, seed) -> None:
    replies = answers(**{node: " ".join(parts) for node, parts in said.items()})
    found = agree(replies, {}, k, similarity)
    random.Random(seed).shuffle(replies)
    assert agree([*replies, *replies], {}, k, similarity) == found
    expected = {part for part in STATEMENTS if sum(part in parts for parts in said.values()) >= k}
    assert {part for part in STATEMENTS if part in found.text} == expected


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_a_similarity_that_is_no_number_supports_nothing(value: float) -> None:
    def broken(texts):
        return np.full((len(texts), len(texts)), value, dtype=np.float32)

    assert agree(answers(a="Snow falls.", b="Snow falls."), {}, 2, broken).text == ""
