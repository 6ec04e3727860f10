import shutil

import numpy as np
import pytest

from frag.errors import ModelError
from retrievers.embedding import SentenceEmbedder
from tests.contracts.retriever_embedder_contract import EmbedderContract
from tests.doubles import HashingEmbedder
from tests.retrievers.tiny_embedder import write_tiny_embedder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    return write_tiny_embedder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny_embedder(model_folder):
    return SentenceEmbedder(model_folder, threads=1, batch_size=4)


@pytest.fixture
def copied_model(model_folder, tmp_path):
    return shutil.copytree(model_folder, tmp_path / "model")


class TestHashingEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self):
        return HashingEmbedder()

    def test_texts_that_share_words_are_near(self, embedder):
        question, near, far = embedder.embed(["steam engine", "the steam engine", "aspirin lowers fever"])
        assert question @ near > 0.7 > question @ far


class TestSentenceEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self, tiny_embedder):
        return tiny_embedder

    def test_measures_come_from_the_model(self, embedder):
        assert (embedder.dimension, embedder.max_tokens) == (16, 30)

    def test_offsets_are_those_of_its_tokenizer(self, embedder):
        assert embedder.token_offsets("ab c") == [(0, 1), (1, 2), (3, 4)]

    def test_embeds_as_sentence_transformers_does(self, embedder, model_folder):
        from sentence_transformers import SentenceTransformer

        texts = ["abc", "some longer text with 12 words", "x" * 200]
        reference = SentenceTransformer(str(model_folder), device="cpu", local_files_only=True)
        expected = reference.encode(texts, normalize_embeddings=True, show_progress_bar=False)
        np.testing.assert_allclose(embedder.embed(texts), expected, atol=1e-5)

    def test_repr_names_the_model(self, embedder):
        assert repr(embedder) == "SentenceEmbedder('tiny', dimension=16)"


def test_fingerprint_follows_the_files_of_the_model(model_folder, copied_model):
    original = SentenceEmbedder(model_folder, threads=1).fingerprint
    (copied_model / "README.md").write_text("Not part of the model.")
    assert SentenceEmbedder(copied_model, threads=1).fingerprint == original
    config = copied_model / "sentence_bert_config.json"
    config.write_text(config.read_text().replace("32", "31"))
    assert SentenceEmbedder(copied_model, threads=1).fingerprint != original


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"\0garbage", b"{}"])
def test_a_missing_or_corrupt_file_says_how_to_mend_it(copied_model, name, content):
    if content is None:
        (copied_model / name).unlink()
    else:
        (copied_model / name).write_bytes(content)
    with pytest.raises(ModelError, match="frag models pull"):
        SentenceEmbedder(copied_model, threads=1)


def test_weights_of_another_shape_are_refused(copied_model):
    config = copied_model / "config.json"
    config.write_text(config.read_text().replace('"hidden_size": 16', '"hidden_size": 32'))
    with pytest.raises(ModelError, match="cannot be loaded"):
        SentenceEmbedder(copied_model, threads=1)


def test_a_folder_that_is_not_there_is_never_looked_up_elsewhere(tmp_path):
    with pytest.raises(ModelError, match=r"config\.json"):
        SentenceEmbedder(tmp_path / "sentence-transformers" / "all-MiniLM-L6-v2")


def test_one_by_one_no_text_leaves_a_trace_in_anothers_vector(model_folder):
    alone = SentenceEmbedder(model_folder, threads=2, batch_size=1)
    texts = ["ab", "some longer text with 12 words", "abc 9"]
    for row, text in enumerate(texts):
        np.testing.assert_array_equal(alone.embed(texts)[row], alone.embed([text])[0])
