"""Cosines of an embedder are read on a common scale: by hand, and as a property."""

import json
from pathlib import Path

import numpy as np
import pytest

from frag.protocols import FloatArray
from frag.settings import ModelSettings
from retrievers.scale import REFERENCE, find_scale, logistic, scale_of
from retrievers.scale_pairs import PAIRS
from tests.doubles import HashingEmbedder


class Stretched(HashingEmbedder):
    """Its vectors share a direction, so that all its cosines are high: c becomes (c + 1) / 2."""

    def embed(self, texts, progress=None) -> FloatArray:  # type: ignore[no-untyped-def]
        vectors = super().embed(texts, progress)
        return np.concatenate([vectors, np.ones((len(texts), 1), np.float32)], axis=1) / np.float32(np.sqrt(2))


def test_two_embedders_that_know_equally_much_agree_on_every_cosine() -> None:
    plain, stretched = find_scale(HashingEmbedder(256)), find_scale(Stretched(256))
    assert plain
    assert stretched
    for cosine in (-0.2, 0.3, 0.9):
        on_plain = plain.slope * cosine + plain.offset
        assert stretched.slope * (cosine + 1) / 2 + stretched.offset == pytest.approx(on_plain, abs=1e-3)


def test_the_curve_is_halfway_between_the_classes_where_they_are_alike() -> None:
    cosines = np.full((40, 40), 0.1)
    cosines[np.arange(40), np.arange(40)] = 0.5
    cosines[0, 0], cosines[0, 1] = 0.1, 0.5  # so that no limit separates them
    slope, offset = logistic(cosines)
    assert slope > 0
    assert 0.1 < -offset / slope < 0.5


def test_an_embedder_that_knows_nothing_has_no_scale() -> None:
    class Blind(HashingEmbedder):
        def embed(self, texts, progress=None) -> FloatArray:  # type: ignore[no-untyped-def]
            vectors = super().embed(texts, progress)
            own = {text: side for pair in PAIRS for side, text in zip((1.0, -1.0), pair, strict=True)}
            return np.array([own[text] for text in texts], np.float32)[:, None] * vectors

    assert find_scale(Blind(256)) is None


def test_a_scale_is_found_once_an_embedder(tmp_path: Path) -> None:
    embedder = HashingEmbedder(256)
    found = scale_of(embedder, tmp_path)
    assert embedder.num_embedded == 2 * len(PAIRS)
    assert scale_of(embedder, tmp_path) == found
    assert embedder.num_embedded == 2 * len(PAIRS)
    assert scale_of(HashingEmbedder(128), tmp_path) != found
    (tmp_path / "scale.json").write_text(json.dumps("damaged"))
    assert scale_of(embedder, tmp_path) == found


def test_the_built_in_embedder_is_its_own_measure(real_models: ModelSettings) -> None:
    from frag.models import Kind, locate
    from retrievers.embedding import SentenceEmbedder

    scale = find_scale(SentenceEmbedder(locate(real_models.embedder, Kind.EMBEDDER), threads=1))
    assert scale
    assert (scale.slope, scale.offset) == pytest.approx((1.0, 0.0), abs=1e-3), REFERENCE
