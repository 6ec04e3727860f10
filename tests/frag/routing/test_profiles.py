"""Topic counts, and how much of a topic a profile can claim."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frag.routing import (
    ANCHOR_TEXTS,
    NUM_ANCHORS,
    affinities,
    noised,
    rho_of_publication,
    topic_counts,
    topic_shares,
)

ANCHORS = np.eye(NUM_ANCHORS, dtype=np.float32)


def profile(**counts: int) -> list[int]:
    """`profile(t3=5)`: five units at topic 3."""
    return [counts.get(f"t{number}", 0) for number in range(NUM_ANCHORS)]


def test_there_are_64_different_topics() -> None:
    assert len(set(ANCHOR_TEXTS)) == NUM_ANCHORS == 64


def test_a_unit_votes_once_for_the_nearest_topic() -> None:
    units = np.zeros((3, NUM_ANCHORS), dtype=np.float32)
    units[0, [5, 9]] = 0.6, 0.8
    units[1, [5, 9]] = 0.8, 0.6
    units[2, 9] = 1.0
    assert topic_counts(units, ANCHORS).tolist() == profile(t5=1, t9=2)
    assert topic_counts(units[:0], ANCHORS).tolist() == profile()


@given(st.lists(st.lists(st.floats(-1, 1, width=32), min_size=8, max_size=8), min_size=1, max_size=12))
def test_one_unit_more_moves_the_counts_by_one_in_l2(rows: list[list[float]]) -> None:
    anchors = np.eye(8, dtype=np.float32)
    units = np.array(rows, dtype=np.float32)
    moved = topic_counts(units, anchors) - topic_counts(units[:-1], anchors)
    assert np.linalg.norm(moved) == 1


def test_the_price_of_a_publication() -> None:
    assert rho_of_publication(4.0) == 1 / 32
    assert noised(np.array([3, 0]), iter([-5, 2]).__next__) == (-2, 2)


def test_a_question_is_about_the_topics_it_is_near() -> None:
    about = affinities(ANCHORS[7], ANCHORS)
    assert about.sum() == pytest.approx(1)
    assert about.argmax() == 7
    assert about[7] > 0.99


def test_a_huge_profile_counts_as_twice_the_median_and_no_more() -> None:
    honest = {"a": profile(t3=100), "b": profile(t4=100), "c": profile(t5=100)}
    claims = {"evil": [10**9] * NUM_ANCHORS}
    shares = topic_shares(honest | claims)
    # 200 units spread over 64 topics, beside 100 at the topic and 0.5 of prior
    assert shares["evil"][3] == pytest.approx((200 / 64) / (100 + 200 / 64 + 0.5))


def test_a_count_below_zero_is_none_and_a_node_without_profile_is_usual() -> None:
    shares = topic_shares({"a": profile(t3=-50, t4=10), "b": profile(t4=10), "new": None})
    assert shares["a"][3] == 0
    assert shares["new"] == pytest.approx((shares["a"] + shares["b"]) / 2)
    assert set(topic_shares({"x": None, "y": None})) == {"x", "y"}


def test_profiles_of_nothing_divide_by_nothing() -> None:
    shares = topic_shares({"a": profile(), "b": [-1] * NUM_ANCHORS})
    assert all(np.isfinite(share).all() and (share == 0).all() for share in shares.values())
