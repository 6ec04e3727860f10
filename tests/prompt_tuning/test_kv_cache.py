"""Rows of a batch keep their own keys; prefixes are computed once and the oldest go first."""

import pytest
import torch

from prompt_tuning.kv_cache import BatchCache, CacheShape, KeyValues, PrefixCache

SHAPE = CacheShape(num_layers=2, num_key_value_heads=1, head_dim=2, dtype=torch.float32)
LOWEST = torch.finfo(torch.float32).min


def filled(num_tokens: int, value: float) -> KeyValues:
    keys = torch.full((2, 1, num_tokens, 2), value)
    return KeyValues(keys=keys, values=-keys)


def test_prefixes_stand_at_the_right_and_padding_is_hidden() -> None:
    cache = BatchCache(SHAPE, num_rows=3, capacity=6)
    cache.start_with([filled(2, 1.0), filled(3, 2.0), None])
    assert cache.num_columns == 3
    mask = cache.open_columns(torch.tensor([[True], [True], [True]]))
    assert (mask[:, 0, 0] == 0).tolist() == [
        [False, True, True, True],
        [True, True, True, True],
        [False, False, False, True],
    ]
    assert mask.min() == LOWEST
    keys, values = cache.put(0, torch.full((3, 1, 1, 2), 9.0), torch.full((3, 1, 1, 2), 8.0))
    assert keys[:, 0, :, 0].tolist() == [[0, 1, 1, 9], [2, 2, 2, 9], [0, 0, 0, 9]]
    assert values[:, 0, :, 0].tolist() == [[0, -1, -1, 8], [-2, -2, -2, 8], [0, 0, 0, 8]]


def test_new_columns_see_only_what_stands_before_them() -> None:
    cache = BatchCache(SHAPE, num_rows=1, capacity=4)
    cache.start_with([filled(1, 1.0)])
    mask = cache.open_columns(torch.ones(1, 3, dtype=torch.bool))
    assert (mask[0, 0] == 0).int().tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]


@pytest.mark.parametrize(("dropped", "left"), [(0, [3, 2]), (1, [1, 3]), (2, [1, 2])])
def test_the_last_row_takes_the_place_of_a_dropped_one(dropped: int, left: list[int]) -> None:
    cache = BatchCache(SHAPE, num_rows=3, capacity=5)
    cache.start_with([filled(1, 1.0), filled(2, 2.0), filled(3, 3.0)])
    cache.drop_row(dropped)
    assert cache.num_rows == 2
    mask = cache.open_columns(torch.ones(2, 1, dtype=torch.bool))
    assert (mask[:, 0, 0] == 0).sum(dim=1).tolist() == [length + 1 for length in left]
    keys, _ = cache.put(1, torch.zeros(2, 1, 1, 2), torch.zeros(2, 1, 1, 2))
    assert keys[:, 0, 2, 0].tolist() == left


def test_a_copy_of_a_row_does_not_change_with_the_cache() -> None:
    cache = BatchCache(SHAPE, num_rows=1, capacity=3)
    cache.start_with([filled(2, 1.0)])
    copy = cache.of_row(0)
    cache.start_with([filled(2, 5.0)])
    assert copy.num_tokens == 2
    assert torch.equal(copy.keys, filled(2, 1.0).keys)


def test_a_prefix_is_computed_once_and_the_least_used_is_forgotten() -> None:
    computed: list[tuple[int, ...]] = []

    def compute(ids: tuple[int, ...]) -> KeyValues:
        computed.append(ids)
        return filled(len(ids), 1.0)

    cache = PrefixCache(compute, capacity=2)
    assert cache.get(()) is None
    assert cache.get((1,)) is cache.get((1,))
    for ids in ((2,), (1,), (3,), (1,), (2,)):
        cache.get(ids)
    assert computed == [(1,), (2,), (3,), (2,)]
    assert len(cache) == 2
    cache.clear()
    assert len(cache) == 0


def test_a_cache_does_not_print_what_it_holds() -> None:
    assert repr(filled(1, 1.0)) == "KeyValues()"
