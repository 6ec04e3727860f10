"""The choice: by topic, by past answers within bounds, explored, and never owned by one node."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frag.routing import NUM_ANCHORS, Chooser, topic_shares
from frag.routing.chooser import EXPLORE

NODES = 6


def about(*topics: int) -> np.ndarray:
    affinity = np.zeros(NUM_ANCHORS)
    affinity[list(topics)] = 1 / len(topics)
    return affinity


def profile(*topics: int, size: int = 50) -> list[int]:
    return [size if number in topics else 0 for number in range(NUM_ANCHORS)]


def chooser(explore: float = 0.0) -> Chooser:
    return Chooser(random.Random(7), explore)


def federation() -> dict[str, list[int]]:
    """Six nodes with ten topics each."""
    return {f"n{node}": profile(*range(10 * node, 10 * node + 10), size=20) for node in range(NODES)}


def test_the_node_with_the_topic_is_chosen() -> None:
    shares = topic_shares({"a": profile(3, 4), "b": profile(5), "c": profile(6)})
    assert chooser().choose(about(5), shares, 1) == ["b"]
    assert chooser().choose(about(4, 5), shares, 2) == ["b", "a"]
    assert chooser().choose(about(5), shares, 9) == ["b", "a", "c"], "ties go to who was asked less, then by name"


def test_past_answers_decide_between_equals_and_not_against_the_topic() -> None:
    place = chooser()
    place.learn(["a", "b"] * 500, ["b"] * 500)
    assert place.choose(about(5), topic_shares({"a": profile(5), "b": profile(5)}), 1) == ["b"]
    assert place.choose(about(5), topic_shares({"a": profile(5), "b": profile(6)}), 1) == ["a"]
    assert place.weight("new") == 1.0
    assert place.weight("a") == pytest.approx(0.75, abs=2e-3)
    assert place.weight("b") == pytest.approx(1.25, abs=2e-3)


def test_a_share_of_the_questions_explores_and_keeps_the_best_place() -> None:
    shares, place = topic_shares(federation()), Chooser(random.Random(3))
    topics = np.random.default_rng(0).integers(0, 60, 600)
    chosen = [place.choose(about(topic), shares, 2) for topic in topics]
    right = np.array([f"n{topic // 10}" for topic in topics])
    assert np.mean([nodes[0] == node for nodes, node in zip(chosen, right, strict=True)]) > 0.98
    single = [Chooser(random.Random(number)).choose(about(5), shares, 1) for number in range(600)]
    assert EXPLORE / 2 < np.mean([nodes != ["n0"] for nodes in single]) < EXPLORE * 1.6


@given(
    st.lists(st.integers(-(10**9), 10**9), min_size=NUM_ANCHORS, max_size=NUM_ANCHORS),
    st.integers(1, 3),
    st.integers(0, 2**32),
)
@settings(max_examples=25, deadline=None)
def test_no_profile_owns_the_questions(claim: list[int], number: int, seed: int) -> None:
    shares = topic_shares({**federation(), "evil": claim})
    place = Chooser(random.Random(seed))
    place.learn(["evil"] * 10_000, ["evil"] * 10_000)
    topics = np.random.default_rng(seed).integers(0, NUM_ANCHORS, 300)
    chosen = [place.choose(about(topic), shares, number) for topic in topics]
    assert all(len(set(nodes)) == number for nodes in chosen)
    # 2 m / n, a head start of five, a tenth of exploration, and the decay of what is remembered
    assert sum("evil" in nodes for nodes in chosen) <= 1.1 * (300 * 2 * number / (NODES + 1)) + 20


def test_a_run_of_one_topic_is_served_by_its_node_until_the_quota() -> None:
    shares, place = topic_shares(federation()), chooser()
    chosen = [place.choose(about(5), shares, 1) for _ in range(60)]
    assert chosen[:7] == [["n0"]] * 7
    assert sum(nodes == ["n0"] for nodes in chosen) == pytest.approx(60 * 2 / NODES + 5, abs=2)
