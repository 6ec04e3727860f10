"""Texts to unit vectors with a sentence-transformers model from a local folder. Never touches the network.

The folder is a model as Hugging Face stores it, weights in safetensors (pickled weights are refused).
"""

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from frag.errors import ModelError
from frag.protocols import FloatArray, Progress

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

_PULL = "Fetch it again with `frag models pull`."
_NOT_PART_OF_MODEL = {".md", ".py", ".gitattributes"}


class SentenceEmbedder:
    """The `frag.protocols.Embedder` of a node: one model on the CPU, shared by all threads.

    Only tokenizing is locked: a question does not wait for a batch of documents to pass through the network.

    Args:
        folder: Local folder of the model.
        threads: CPU threads of torch, for this whole process.
        batch_size: Texts that pass through the network together.

    Raises:
        ModelError: A file is missing or cannot be read.
    """

    def __init__(self, folder: str | Path, *, threads: int = 2, batch_size: int = 32) -> None:
        self._folder = Path(folder)
        _check_files(self._folder)
        self._batch_size = batch_size
        self._lock = threading.Lock()
        self._model = _load(self._folder, threads)
        special_tokens = self._model.tokenizer.num_special_tokens_to_add()
        self._max_tokens = int(self._model.max_seq_length) - int(special_tokens)
        self._dimension: int = self.embed([""]).shape[1]
        self._fingerprint = _fingerprint(self._folder)

    def __repr__(self) -> str:
        return f"SentenceEmbedder({self._folder.name!r}, dimension={self._dimension})"

    @property
    def fingerprint(self) -> str:
        """sha256 over names and contents of all files of the model, hexadecimal."""
        return self._fingerprint

    @property
    def dimension(self) -> int:
        return self._dimension

    @property
    def max_tokens(self) -> int:
        return self._max_tokens

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """Character spans of the tokens of `text`, never truncated."""
        with self._lock:
            encoded = self._model.tokenizer(
                text, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False
            )
        return [(int(start), int(end)) for start, end in encoded["offset_mapping"]]

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> FloatArray:
        """Returns [len(texts), dimension]; batches hold texts of similar length, so that little is padded."""
        if not texts:
            return np.zeros((0, self._dimension), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
        parts = []
        for first in range(0, len(order), self._batch_size):
            rows = order[first : first + self._batch_size]
            parts.append(self._embed_batch([texts[row] for row in rows]))
            if progress:
                progress(first + len(rows), len(order))
        vectors = np.empty((len(texts), parts[0].shape[1]), dtype=np.float32)
        vectors[order] = np.concatenate(parts)
        return vectors

    def _embed_batch(self, texts: list[str]) -> FloatArray:
        import torch

        with self._lock:
            features = _prepare(self._model, texts)
        with torch.inference_mode():
            vectors: FloatArray = self._model(features)["sentence_embedding"].float().numpy()
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: FloatArray = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
        return unit


def _check_files(folder: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise ModelError(f"The embedder {folder} has no {name}.", _PULL)
    if not any(folder.glob("*.safetensors")):
        raise ModelError(f"The embedder {folder} has no weights (*.safetensors).", _PULL)


def _load(folder: Path, threads: int) -> "SentenceTransformer":
    import torch
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    torch.set_num_threads(threads)
    disable_progress_bar()
    try:
        model = SentenceTransformer(
            str(folder), device="cpu", local_files_only=True, model_kwargs={"use_safetensors": True}
        )
    except (
        SafetensorError,
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RuntimeError,
    ) as error:
        # corrupt JSON, weights or shapes surface as any of these
        raise ModelError(f"The embedder {folder} cannot be loaded ({type(error).__name__}).", _PULL) from error
    return model.eval()


def _prepare(model: "SentenceTransformer", texts: list[str]) -> "dict[str, Tensor]":
    """sentence-transformers 6 renamed `tokenize` to `preprocess`."""
    prepare = model.preprocess if hasattr(model, "preprocess") else model.tokenize
    features: dict[str, Tensor] = prepare(texts)
    return features


def _fingerprint(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix not in _NOT_PART_OF_MODEL and path.name not in _NOT_PART_OF_MODEL:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return digest.hexdigest()
