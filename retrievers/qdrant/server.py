"""One Qdrant server, and what is asked of it. Its library is loaded with the first address."""

import atexit
import functools
import importlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from frag.errors import IndexStoreError
from frag.protocols import FloatArray
from retrievers.vector_index import IdArray

KEY_VARIABLE = "FRAG_QDRANT_API_KEY"
_LOCAL = "file:"
_TIMEOUT_S = 10
_POINTS_AT_ONCE = 512
_EF = 128


class Server:
    """Thread-safe. Every method raises IndexStoreError when the server does not do what it is asked.

    Args:
        url: `http(s)://host:port`; or `file:FOLDER`, the library's own small form for one process, for trying it out.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        with self._errors():
            self._client = _connect(url)
        # the library's local form is a plain object that compares with all
        self._is_local = url.startswith(_LOCAL)
        self._turn = threading.RLock() if self._is_local else nullcontext()

    def create(self, name: str, dimension: int) -> None:
        """An empty collection for unit vectors [dimension], replacing one of that name."""
        models = _models()
        vectors = models.VectorParams(size=dimension, distance=models.Distance.DOT, on_disk=True)
        codes = models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8))
        with self._turn, self._errors():
            if self._client.collection_exists(name):
                self._client.delete_collection(name)
            self._client.create_collection(name, vectors_config=vectors, quantization_config=codes)

    def put(self, name: str, ids: IdArray, vectors: FloatArray) -> None:
        """Stores `vectors` [n, d] under `ids` [n]; what stood there before is replaced. Searched when it returns."""
        for first in range(0, len(ids), _POINTS_AT_ONCE):
            rows = slice(first, first + _POINTS_AT_ONCE)
            points = _models().Batch(ids=ids[rows].tolist(), vectors=vectors[rows].tolist())
            with self._turn, self._errors():
                self._client.upsert(name, points, wait=True)

    def delete(self, name: str, ids: IdArray) -> None:
        """Ids that are not there are ignored."""
        for first in range(0, len(ids), _POINTS_AT_ONCE):
            chosen = _models().PointIdsList(points=ids[first : first + _POINTS_AT_ONCE].tolist())
            with self._turn, self._errors():
                self._client.delete(name, chosen, wait=True)

    def ids_from(self, name: str, first_id: int) -> IdArray:
        """Those of at least `first_id`, ascending."""
        found: list[int] = []
        offset: Any = first_id
        while offset is not None:
            with self._turn, self._errors():
                points, offset = self._client.scroll(
                    name, offset=offset, limit=_POINTS_AT_ONCE, with_payload=False, with_vectors=False
                )
            found += [int(point.id) for point in points]
        return np.array(sorted(found), dtype=np.int64)

    def nearest(self, name: str, vector: FloatArray, top_k: int, without: IdArray) -> tuple[IdArray, FloatArray]:
        """Ids and approximate inner products with `vector` [d], best first, none of the ids `without`."""
        models = _models()
        gone = models.Filter(must_not=[models.HasIdCondition(has_id=without.tolist())]) if len(without) else None
        with self._turn, self._errors():
            found = self._client.query_points(
                name,
                query=vector.tolist(),
                query_filter=gone,
                limit=top_k,
                search_params=None if self._is_local else models.SearchParams(hnsw_ef=max(_EF, top_k)),
                with_payload=False,
                with_vectors=False,
            ).points
        ids = np.array([point.id for point in found], dtype=np.int64)
        return ids, np.array([point.score for point in found], dtype=np.float32)

    def count(self, name: str) -> int:
        """Vectors in the collection; 0 where there is none."""
        with self._turn, self._errors():
            return int(self._client.count(name, exact=True).count) if self._client.collection_exists(name) else 0

    def names(self, prefix: str) -> list[str]:
        """Collections whose names begin so."""
        with self._turn, self._errors():
            return [one.name for one in self._client.get_collections().collections if one.name.startswith(prefix)]

    def drop(self, name: str) -> None:
        """Removes the collection with all that it holds."""
        with self._turn, self._errors():
            self._client.delete_collection(name)

    def close(self) -> None:
        """Lets go of connections and files; not to be used after."""
        self._client.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        library = _library()
        try:
            yield
        except (library.http.exceptions.ApiException, OSError, ValueError, RuntimeError) as error:
            raise IndexStoreError(
                f"The Qdrant server at {self.url} does not do what it is asked: {_short(error)}.",
                f"See that it runs, and that {KEY_VARIABLE} holds its key if it has one; what it has lost is given to "
                "it again by `frag node compact`.",
            ) from error


@functools.cache
def server_at(url: str) -> Server:
    """One for each address, until the process ends. Raises IndexStoreError."""
    server = Server(url)
    atexit.register(server.close)
    return server


def _connect(url: str) -> Any:  # noqa: ANN401 - the library is loaded late
    make = _library().QdrantClient
    if url.startswith(_LOCAL):
        return make(path=url.removeprefix(_LOCAL))
    return make(
        url=url, api_key=os.environ.get(KEY_VARIABLE), timeout=_TIMEOUT_S, prefer_grpc=False, check_compatibility=False
    )


def _library() -> Any:  # noqa: ANN401
    try:
        return importlib.import_module("qdrant_client")
    except ImportError as error:
        raise IndexStoreError("The library of Qdrant is not installed.", "`pip install 'frag[qdrant]'`.") from error


def _models() -> Any:  # noqa: ANN401
    return _library().models


def _short(error: Exception) -> str:
    status = getattr(error, "status_code", None)
    return f"status {status}" if status else f"{type(error).__name__}"
