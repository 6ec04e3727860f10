"""The public lexicon: near words first, computed once, and no question waits for it beyond its deadline."""

from pathlib import Path

import pytest

from frag.errors import ModelError, NotReadyError
from frag.settings import ModelSettings
from server.coordinator import lexicon
from server.coordinator.lexicon import Lexicon
from tests.doubles import HashingEmbedder

WORDS = ["cellar", "door", "lantern", "oak"]


def with_embedder(monkeypatch: pytest.MonkeyPatch, embedder: HashingEmbedder) -> None:
    monkeypatch.setattr(lexicon, "load_public", lambda _models: (embedder, WORDS))


async def test_near_words_come_first_and_vectors_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = HashingEmbedder(dimension=256)
    with_embedder(monkeypatch, embedder)
    for _ in range(2):
        async with Lexicon(ModelSettings(), tmp_path) as words:
            assert (await words.closest("oak door", 2, within_s=5))[:2] in (["door", "oak"], ["oak", "door"])
    assert embedder.num_embedded == len(WORDS) + 2, "the words once, the question each time"


async def test_a_file_that_does_not_fit_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = HashingEmbedder(dimension=256)
    with_embedder(monkeypatch, embedder)
    (tmp_path / f"lexicon-{embedder.fingerprint[:16]}.npy").write_bytes(b"torn")
    async with Lexicon(ModelSettings(), tmp_path) as words:
        assert await words.closest("lantern", 1, within_s=5) == ["lantern"]


async def test_a_question_does_not_wait_for_it_and_the_end_stops_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = HashingEmbedder(seconds_per_text=0.2)
    with_embedder(monkeypatch, embedder)
    async with Lexicon(ModelSettings(), tmp_path) as words:
        with pytest.raises(NotReadyError, match="getting ready"):
            await words.closest("oak", 1, within_s=0.05)
    assert embedder.num_embedded < len(WORDS)
    async with Lexicon(ModelSettings(), tmp_path) as words:
        with pytest.raises(NotReadyError):
            await words.closest("oak", 1, within_s=0.05)
        assert await words.closest("oak", 1, within_s=10) == ["oak"], "it went on meanwhile"


async def test_a_missing_embedder_is_said_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_models: ModelSettings) -> object:
        raise ModelError("missing")

    monkeypatch.setattr(lexicon, "load_public", missing)
    async with Lexicon(ModelSettings(), tmp_path) as words:
        with pytest.raises(ModelError, match="missing"):
            await words.closest("oak", 1, within_s=5)
        with_embedder(monkeypatch, HashingEmbedder(dimension=256))
        assert await words.closest("oak", 1, within_s=5) == ["oak"]
