"""Which examples a step sees."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_tuning.batches import Batches, num_old, reservoir


def test_half_of_a_batch_is_old() -> None:
    batches = Batches(["n0", "n1", "n2", "n3"], ["o0", "o1", "o2"], 0.5, 4, seed=1)
    seen = Counter(item for _ in range(6) for item in batches.next())
    assert {item: number for item, number in seen.items() if item[0] == "n"} == dict.fromkeys(
        ["n0", "n1", "n2", "n3"], 3
    )
    assert {item: number for item, number in seen.items() if item[0] == "o"} == dict.fromkeys(["o0", "o1", "o2"], 4)


@pytest.mark.parametrize(
    ("size", "share", "expected"), [(16, 0.5, 8), (16, 0.01, 1), (16, 0.99, 15), (16, 0.0, 0), (1, 0.5, 0)]
)
def test_each_batch_has_both_kinds_or_no_old_ones_are_wanted(size: int, share: float, expected: int) -> None:
    assert num_old(size, share) == expected


def test_without_new_ones_the_old_are_rehearsed_and_nothing_is_refused() -> None:
    assert sorted(Batches([], ["a", "b"], 0.5, 2, seed=0).next()) == ["a", "b"]
    with pytest.raises(ValueError, match="no examples"):
        Batches([], [], 0.5, 2, seed=0)


def test_one_more_id_moves_at_most_one_out_of_the_buffer() -> None:
    ids = [str(n) for n in range(40)]
    before, after = reservoir(ids, 10, seed=3), reservoir([*ids, "more"], 10, seed=3)
    assert len(before) == len(after) == 10
    assert len(before - after) <= 1
    assert reservoir(ids, 0, seed=3) == set(ids)


@given(st.integers(1, 8), st.integers(0, 8), st.floats(0, 0.99), st.integers(1, 20))
def test_batches_are_never_empty_nor_over_their_size(new: int, old: int, share: float, size: int) -> None:
    batches = Batches([("n", i) for i in range(new)], [("o", i) for i in range(old)], share, size, seed=0)
    for _ in range(3):
        batch = batches.next()
        assert 1 <= len(batch) <= size
        assert any(kind == "n" for kind, _ in batch)
