"""The part of a compressed index that is trained: where lists lie, and the range of each dimension.

It is shared by many segments, which makes merging them as cheap as joining their lists. Kept as a file of its own, an
empty trained FAISS index.
"""

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from frag.durable import write_private
from frag.errors import IndexStoreError
from frag.protocols import FloatArray

MAX_LISTS = 1024
_ROWS_PER_LIST = 39
"""Fewer, and k-means leaves lists badly placed (FAISS warns)."""
_ROUNDS = 6
_MARGIN = 1.5


def faiss() -> Any:  # noqa: ANN401
    # untyped: its Python layer rewrites the signatures of the C++ classes that its stubs describe
    return importlib.import_module("faiss")


def train(vectors: FloatArray, max_lists: int = MAX_LISTS) -> Any:  # noqa: ANN401
    """An empty inverted-file index over unit vectors [n, d], n >= 1: inner product, 8 bits a dimension.

    Source: Jégou, Douze, Schmid, "Product Quantization for Nearest Neighbor Search", TPAMI 2011, section IV (the
    inverted file), with a scalar quantiser of the residuals in place of the product quantiser.
    """
    num_lists = max(1, min(max_lists, len(vectors) // _ROWS_PER_LIST))
    kind = faiss().ScalarQuantizer.QT_8bit
    flat = faiss().IndexFlatIP(vectors.shape[1])
    index = faiss().IndexIVFScalarQuantizer(flat, vectors.shape[1], num_lists, kind, faiss().METRIC_INNER_PRODUCT)
    index.cp.niter = _ROUNDS
    sample = np.random.default_rng(0).permutation(len(vectors))[: num_lists * _ROWS_PER_LIST]
    index.train(np.ascontiguousarray(vectors[np.sort(sample)]))
    _widen(index)
    return index


def _widen(index: Any) -> None:  # noqa: ANN401
    """One range for all dimensions, wider than any was: later vectors may vary where the sample happened not to."""
    trained = faiss().vector_to_array(index.sq.trained).reshape(2, -1)  # lower ends, and lengths
    bound = _MARGIN * max(float(np.abs(trained[0]).max()), float(np.abs(trained[0] + trained[1]).max()), 1e-3)
    ends = np.repeat(np.array([-bound, 2 * bound], dtype=np.float32), trained.shape[1])
    faiss().copy_array_to_vector(ends, index.sq.trained)


def write(index: Any, path: Path) -> None:  # noqa: ANN401
    """Durably; `index` is empty."""
    write_private(path, faiss().serialize_index(index).tobytes())


def read(path: Path) -> Any:  # noqa: ANN401
    """Raises IndexStoreError when the file is missing or damaged."""
    try:
        return faiss().deserialize_index(np.frombuffer(path.read_bytes(), dtype=np.uint8))
    except (OSError, RuntimeError) as error:
        raise IndexStoreError(f"{path} cannot be read.", "`frag node compact` makes it anew.") from error
