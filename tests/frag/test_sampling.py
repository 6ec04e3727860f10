"""Sampling is the same for the same seed, whatever the order, and fair over rounds."""

from collections import Counter

from frag.sampling import derive_seed, sample_nodes

NODES = [f"node-{number}" for number in range(10)]


def test_order_does_not_matter_and_rounds_differ() -> None:
    first = sample_nodes(NODES, 4, seed=1, round_num=0)
    assert first == sample_nodes(NODES[::-1], 4, seed=1, round_num=0) == sorted(first)
    assert len({tuple(sample_nodes(NODES, 4, seed=1, round_num=r)) for r in range(20)}) > 10


def test_all_or_none() -> None:
    assert sample_nodes(NODES, 0, seed=1, round_num=0) == NODES
    assert sample_nodes(NODES, 99, seed=1, round_num=0) == NODES
    assert sample_nodes([], 3, seed=1, round_num=0) == []


def test_one_more_node_changes_at_most_one_place() -> None:
    for round_num in range(30):
        before = set(sample_nodes(NODES, 4, seed=2, round_num=round_num))
        after = set(sample_nodes([*NODES, "late"], 4, seed=2, round_num=round_num))
        assert len(before - after) <= 1


def test_every_node_has_its_turn() -> None:
    turns = Counter(node for r in range(1000) for node in sample_nodes(NODES, 3, seed=5, round_num=r))
    assert all(240 < turns[node] < 360 for node in NODES)


def test_seeds_differ_by_purpose() -> None:
    seeds = [derive_seed(0, "a", 1), derive_seed(0, "a", 2), derive_seed(0, "b", 1), derive_seed(1, "a", 1)]
    assert len(set(seeds)) == 4
    assert all(0 <= seed < 1 << 63 for seed in seeds)
    assert seeds[0] == derive_seed(0, "a", 1)
