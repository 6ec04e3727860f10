"""Sampling, clipping and noise against hand-computed values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from frag.privacy.draws import SecretDraws
from frag.privacy.noised_sum import clipped, noised_mean, taking_part


def test_rows_are_clipped_one_by_one() -> None:
    rows = [[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]]
    np.testing.assert_allclose(clipped(rows, 1.0), [[0.6, 0.8], [0.3, 0.4], [0.0, 0.0]])


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_is_zero(wrong: float) -> None:
    np.testing.assert_array_equal(clipped([[wrong, 1.0], [0.5, 0.0]], 1.0), [[0.0, 0.0], [0.5, 0.0]])


@given(arrays(np.float32, (3, 4), elements=st.floats(width=32)), st.floats(1e-3, 1e3))
def test_no_row_is_longer_than_the_bound(rows: np.ndarray, bound: float) -> None:
    found = clipped(rows, bound)
    assert np.isfinite(found).all()
    assert (np.linalg.norm(found, axis=-1) <= bound * (1 + 1e-12)).all()


def test_the_noise_is_of_sigma_times_the_norm_over_the_expected_number() -> None:
    rows = np.full((200_000, 1), 6.0)
    found = noised_mean(rows, clip_norm=2.0, noise_multiplier=1.5, expected=4.0, draws=SecretDraws(bytes(32)))
    assert found.mean() == pytest.approx(6 / 4, abs=0.01)
    assert found.std() == pytest.approx(1.5 * 2 / 4, rel=0.01)


def test_an_empty_batch_is_noised_and_divided_alike() -> None:
    draws = [SecretDraws(bytes(32)) for _ in range(2)]
    of_none = noised_mean(np.zeros(5), clip_norm=1, noise_multiplier=2, expected=10, draws=draws[0])
    of_some = noised_mean(np.full(5, 7.0), clip_norm=1, noise_multiplier=2, expected=10, draws=draws[1])
    assert (of_none != 0).all()
    np.testing.assert_allclose(of_some - of_none, 0.7)


def test_batches_are_poisson() -> None:
    """The number that takes part varies as of independent draws; a fixed size would have no variance."""
    sizes = taking_part(SecretDraws(bytes(32)), 0.2, 20_000, 50).sum(axis=1)
    assert sizes.mean() == pytest.approx(10, abs=0.1)
    assert sizes.var() == pytest.approx(50 * 0.2 * 0.8, rel=0.05)
    assert taking_part(SecretDraws(), 1.0, 1000).all()
