"""What every `frag.protocols.Embedder` does. Inherit, and give the fixture `embedder`."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

TEXTS = [
    "the steam engine of James Watt",
    "",
    "Genève",
    "a much longer text about aspirin, fever and children " * 3,
    "é" * 50,
]


class EmbedderContract:
    def test_gives_a_unit_vector_per_text(self, embedder):
        vectors = embedder.embed(TEXTS)
        assert vectors.shape == (len(TEXTS), embedder.dimension)
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)

    def test_no_texts_give_no_vectors(self, embedder):
        assert embedder.embed([]).shape == (0, embedder.dimension)

    def test_a_vector_depends_on_its_own_text_only(self, embedder):
        alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
        np.testing.assert_allclose(embedder.embed(TEXTS), alone, atol=1e-5)

    def test_progress_ends_at_the_number_of_texts(self, embedder):
        calls = []
        embedder.embed(TEXTS * 20, lambda done, total: calls.append((done, total)))
        assert calls[-1] == (100, 100)
        assert calls == sorted(calls)

    @pytest.mark.parametrize("text", TEXTS)
    def test_token_offsets_lie_in_the_text_in_order(self, embedder, text):
        offsets = embedder.token_offsets(text)
        assert all(0 <= start <= end <= len(text) for start, end in offsets)
        assert offsets == sorted(offsets)

    def test_token_offsets_are_never_truncated(self, embedder):
        words = "engine " * (3 * embedder.max_tokens)
        assert len(embedder.token_offsets(words)) >= 3 * embedder.max_tokens

    def test_fingerprint_is_stable_and_not_empty(self, embedder):
        assert embedder.fingerprint == embedder.fingerprint != ""

    def test_is_thread_safe(self, embedder):
        expected = embedder.embed(TEXTS)
        with ThreadPoolExecutor(4) as pool:
            for vectors in pool.map(lambda _: embedder.embed(TEXTS), range(8)):
                np.testing.assert_allclose(vectors, expected, atol=1e-5)
            list(pool.map(embedder.token_offsets, TEXTS * 4))
