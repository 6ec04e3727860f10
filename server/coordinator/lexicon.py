"""The public lexicon: words that may be voted for, by their nearness to a question. Reads nobody's documents.

The words are the whole ones of the embedder's own vocabulary. Their vectors are computed at the first use, which takes
a while, and kept in a file.
"""

import asyncio
import contextlib
import io
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import numpy as np

from frag.durable import write_atomic
from frag.errors import ModelError, NotReadyError
from frag.models import Kind, locate
from frag.privacy.words import whole_words
from frag.protocols import Embedder, FloatArray
from frag.settings import ModelSettings


class Lexicon:
    """Use as an async context manager; leaving it stops what is under way.

    Args:
        models: Names the embedder.
        folder: Where vectors are kept, one file an embedder.
    """

    def __init__(self, models: ModelSettings, folder: Path) -> None:
        self._models = models
        self._folder = folder
        self._stopped = threading.Event()
        self._loading: asyncio.Task[tuple[Embedder, list[str], FloatArray]] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        if self._loading is not None:
            with contextlib.suppress(ModelError, _StoppedError):
                await self._loading

    async def closest(self, question: str, limit: int, within_s: float) -> list[str]:
        """At most `limit` words, the nearest to the question first.

        Raises:
            ModelError: The embedder cannot be loaded.
            NotReadyError: The lexicon is not ready in time; it goes on getting ready.
        """
        if self._loading is None or (self._loading.done() and self._loading.exception() is not None):
            self._loading = asyncio.create_task(asyncio.to_thread(self._load))
        try:
            embedder, words, vectors = await asyncio.wait_for(asyncio.shield(self._loading), within_s)
        except TimeoutError as error:
            raise NotReadyError("The public lexicon is getting ready.", "Ask again in a minute.") from error
        return await asyncio.to_thread(_closest, embedder, words, vectors, question, limit)

    def _load(self) -> tuple[Embedder, list[str], FloatArray]:
        embedder, words = load_public(self._models)
        file = self._folder / f"lexicon-{embedder.fingerprint[:16]}.npy"
        with contextlib.suppress(OSError, ValueError):
            kept = np.load(file, allow_pickle=False)
            if kept.shape == (len(words), embedder.dimension):
                return embedder, words, kept.astype(np.float32)
        vectors = embedder.embed(words, self._go_on)
        with contextlib.suppress(OSError):  # then it is computed again another time
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomic(file, _as_file(vectors))
        return embedder, words, vectors

    def _go_on(self, _done: int, _total: int) -> None:
        if self._stopped.is_set():
            raise _StoppedError


class _StoppedError(Exception):
    """The coordinator ends."""


def load_public(models: ModelSettings) -> tuple[Embedder, list[str]]:
    """The embedder and the words of its vocabulary. Raises ModelError."""
    from retrievers.embedding import SentenceEmbedder

    folder = locate(models.embedder, Kind.EMBEDDER)
    embedder = SentenceEmbedder(folder, threads=models.threads)
    return embedder, whole_words(_vocabulary(folder / "tokenizer.json"))


class _Model(msgspec.Struct):
    vocab: dict[str, int]


class _Tokenizer(msgspec.Struct):
    model: _Model


def _vocabulary(file: Path) -> list[str]:
    try:
        return list(msgspec.json.decode(file.read_bytes(), type=_Tokenizer).model.vocab)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{file} holds no vocabulary of words.", "Use the built-in embedder.") from error


def _as_file(vectors: FloatArray) -> bytes:
    target = io.BytesIO()
    np.save(target, vectors.astype(np.float16), allow_pickle=False)
    return target.getvalue()


def _closest(embedder: Embedder, words: list[str], vectors: FloatArray, question: str, limit: int) -> list[str]:
    nearness = vectors @ embedder.embed([question])[0]
    return [words[place] for place in np.argsort(-nearness, kind="stable")[:limit]]
