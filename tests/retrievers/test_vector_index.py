import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrievers.vector_index import VectorIndex


def unit(*rows):
    vectors = np.array(rows, dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def random_unit(count, dimension=8, seed=0):
    return unit(*np.random.default_rng(seed).standard_normal((count, dimension)))


def test_inner_products_best_first():
    index = VectorIndex(2).add([10, 20, 30], unit([1, 0], [0, 1], [1, 1]))
    ids, scores = index.search(unit([1, 0], [0, 1]), 3)
    assert ids.tolist() == [[10, 30, 20], [20, 30, 10]]
    np.testing.assert_allclose(scores, [[1, 0.70710678, 0]] * 2, atol=1e-7)


def test_missing_places_are_minus_one():
    ids, scores = VectorIndex(2).add([4], unit([1, 0])).search(unit([1, 0]), 3)
    assert ids.tolist() == [[4, -1, -1]]
    assert scores.tolist() == [[1.0, -np.inf, -np.inf]]
    assert VectorIndex(2).search(unit([1, 0]), 1)[0].tolist() == [[-1]]


def test_an_index_never_changes():
    old = VectorIndex(2).add([1, 2], unit([1, 0], [0, 1]))
    old.add([3], unit([1, 1]))
    old.remove([1])
    assert len(old) == 2
    assert old.search(unit([1, 0]), 3)[0].tolist() == [[1, 2, -1]]


def test_ties_are_ordered_by_id_however_many():
    same = np.repeat(unit([3, 4]), 500, axis=0)
    index = VectorIndex(2)
    for first in (300, 0, 400, 100, 200):
        index = index.add(range(first, first + 100), same[:100])
    assert index.search(unit([3, 4]), 120)[0][0].tolist() == list(range(120))


@settings(deadline=None)
@given(data=st.data())
def test_any_history_gives_what_a_full_comparison_gives(data):
    vectors = unit(*np.random.default_rng(1).integers(-1, 2, (60, 3)) + 0.25)  # few directions: many ties
    index, held = VectorIndex(3), set()
    for _ in range(data.draw(st.integers(1, 8))):
        new = data.draw(st.sets(st.integers(0, 59), max_size=25)) - held
        gone = data.draw(st.sets(st.integers(0, 59), max_size=15))
        index = index.add(new, vectors[list(new)]).remove(gone)
        held = (held | new) - gone
        assert len(index) == len(held)
    question = vectors[data.draw(st.integers(0, 59))]
    exact = {i: np.float32((vectors[i].astype(np.float64) * question).sum()) for i in held}
    expected = sorted(held, key=lambda i: (-exact[i], i))[:10]
    ids, scores = index.search(question[None], 10)
    assert ids[0][: len(expected)].tolist() == expected
    assert scores[0][: len(expected)].tolist() == [exact[i] for i in expected]
    assert index.scores(question, range(60)) == exact


def test_a_thousand_small_adds_leave_few_segments():
    index = VectorIndex(8)
    for row, vector in enumerate(random_unit(1000)):
        index = index.add([row], vector[None])
    assert len(index) == 1000
    assert len(index.segments) <= 11


def test_removals_shrink_what_is_held():
    index = VectorIndex(8).add(range(1000), random_unit(1000)).remove(range(900))
    assert len(index) == 100
    assert sum(len(segment.ids) for segment in index.segments) <= 200
    assert index.remove(range(1000)).segments == ()


@pytest.mark.parametrize(
    ("ids", "vectors"),
    [
        ([1], unit([1, 0, 0])),
        ([1, 2], unit([1, 0])),
        ([1, 1], unit([1, 0], [0, 1])),
        ([-1], unit([1, 0])),
        ([7], unit([1, 0])),
        ([1], np.array([[np.nan, 0]], dtype=np.float32)),
    ],
)
def test_what_does_not_fit_is_refused(ids, vectors):
    index = VectorIndex(2).add([7], unit([0, 1]))
    with pytest.raises(ValueError, match=r"vectors|id"):
        index.add(ids, vectors)


@pytest.mark.parametrize(
    ("vectors", "top_k"),
    [(np.ones((1, 3), np.float32), 1), (np.ones(2, np.float32), 1), (np.ones((1, 2), np.float32), 0)],
)
def test_a_search_that_does_not_fit_is_refused(vectors, top_k):
    with pytest.raises(ValueError, match="top_k"):
        VectorIndex(2).search(vectors, top_k)


def test_repr_shows_no_vectors():
    assert "array" not in repr(VectorIndex(2).add([1], unit([1, 0])))


def test_a_search_leaves_the_threads_of_others_alone():
    import faiss

    before = faiss.omp_get_max_threads()
    VectorIndex(2).add([1], unit([1, 0])).search(unit([1, 0]), 1)
    assert faiss.omp_get_max_threads() == before


@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.floats(-1, 1), st.data())
def test_whether_a_vector_is_above_a_floor_depends_on_it_alone(seed, count, floor, data):
    vectors = random_unit(count + 1, seed=seed)
    question, rows = vectors[-1], vectors[:-1]
    gone = data.draw(st.sets(st.integers(0, max(0, count - 1))))
    index = VectorIndex(8).add(range(count), rows).remove(gone)
    products = {row: float(np.float32((rows[row].astype(np.float64) * question).sum())) for row in range(count)}
    assert index.above(question, floor) == {
        row: product for row, product in products.items() if product >= floor and row not in gone
    }
