"""Secret draws: uniform, normal, repeatable by their key alone."""

import numpy as np
import pytest
from scipy.stats import kstest

from frag.privacy import draws as module
from frag.privacy.draws import SecretDraws

KEY = bytes(range(32))


def test_the_key_decides_the_draws() -> None:
    assert (SecretDraws(KEY).normals(9) == SecretDraws(KEY).normals(9)).all()
    assert (SecretDraws(KEY).normals(9) != SecretDraws(bytes(32)).normals(9)).all()


def test_without_a_key_nothing_repeats() -> None:
    assert (SecretDraws().uniforms(9) != SecretDraws().uniforms(9)).all()


def test_they_are_uniform_and_normal() -> None:
    drawn = SecretDraws(KEY)
    uniforms, normals = drawn.uniforms(100_000), drawn.normals(100_001)
    assert uniforms.min() >= 0
    assert uniforms.max() < 1
    assert kstest(uniforms, "uniform").pvalue > 0.01
    assert kstest(normals, "norm").pvalue > 0.01
    assert abs(np.corrcoef(normals[:50_000], normals[50_001:])[0, 1]) < 0.02


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 5)])
def test_shapes(shape: tuple[int, ...]) -> None:
    assert SecretDraws().normals(*shape).shape == shape


def test_a_used_up_key_is_replaced_before_its_stream_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    unbroken = SecretDraws(KEY).uniforms(64).reshape(4, 16)
    monkeypatch.setattr(module, "_KEY_WORDS", 16)
    drawn = SecretDraws(KEY)
    rows = np.stack([drawn.uniforms(16) for _ in range(4)])
    assert (rows[0] == unbroken[0]).all()
    assert (rows[1:] != unbroken[1:]).all()
    assert len(np.unique(rows)) == 64
