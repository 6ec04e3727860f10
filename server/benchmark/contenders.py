"""One index a class, all with the same three steps, so that they can be timed alike."""

import hashlib
import importlib
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from frag.protocols import FloatArray
from server.benchmark.vectors import DIMENSION

Rows = npt.NDArray[np.int64]


class Contender(Protocol):
    """Vectors are numbered in the order in which they are added."""

    def add(self, vectors: FloatArray) -> None:
        """Takes a block [n, 384]."""

    def finish(self) -> None:
        """Returns when all is as it will stay."""

    def search(self, vector: FloatArray, top_k: int) -> Rows:
        """Numbers of the nearest, best first."""


class Frag:
    """The product's own: the database with its vectors, and segments sealed and merged beside it. Durable."""

    def __init__(self, folder: Path, threads: int) -> None:
        from retrievers.database import connect, prepare
        from retrievers.segments.choosing import Pace
        from retrievers.segments.keeper import Keeper
        from retrievers.snapshot import LiveIndex

        del threads  # it seals and searches with one
        path = prepare(folder)
        self._connection, self._reader = connect(path), connect(path, read_only=True)
        self._live = LiveIndex("bench", DIMENSION, folder)
        self.keeper = Keeper(path, self._live.commit, Pace())
        self._connection.execute("INSERT INTO embedders VALUES (1, 'bench')")
        self._connection.execute("UPDATE collection SET embedder_key = 1, revision = 1")
        self._connection.execute("INSERT INTO documents VALUES ('bench', x'', '', 0, 0)")
        self._num = 0

    def add(self, vectors: FloatArray) -> None:
        from retrievers.database import scrub_log, transaction
        from retrievers.segments.growth import BLOCK

        numbers = range(self._num + 1, self._num + len(vectors) + 1)
        self._num += len(vectors)
        with transaction(self._connection):
            self._connection.executemany(
                "INSERT INTO embeddings VALUES (?, 1, ?, ?)",
                ((n, hashlib.sha256(b"%d" % n).digest(), v.tobytes()) for n, v in zip(numbers, vectors, strict=True)),
            )
            self._connection.executemany(
                "INSERT INTO chunks VALUES (?, 'bench', 0, 0, ?, '')", ((n, n) for n in numbers)
            )
            self._connection.execute("UPDATE collection SET revision = revision + 1, num_chunks = ?", (self._num,))
            self._live.commit(self._connection)
        scrub_log(self._connection)
        self.keeper.nudge(self._live.num_fresh)
        while self._live.num_fresh > BLOCK and self.keeper.is_busy:
            threading.Event().wait(0.01)

    def finish(self) -> None:
        self.keeper.nudge(self._live.num_fresh)
        while self.keeper.is_busy:
            threading.Event().wait(0.01)

    def search(self, vector: FloatArray, top_k: int) -> Rows:
        with self._live.read(self._reader) as snapshot:
            ids, _ = snapshot.vectors.search(self._reader, vector, top_k)
        return ids - 1


class Faiss:
    """An index of FAISS in memory, trained on its first vectors."""

    def __init__(self, factory: str, threads: int, probes: int = 32) -> None:
        faiss: Any = importlib.import_module("faiss")
        faiss.omp_set_num_threads(threads)
        self._faiss = faiss
        self._probes = probes
        self._index = faiss.index_factory(DIMENSION, factory, faiss.METRIC_INNER_PRODUCT)
        self._waiting: list[FloatArray] = []

    def add(self, vectors: FloatArray) -> None:
        self._waiting.append(vectors)
        if self._index.is_trained or sum(map(len, self._waiting)) >= 65_536:
            self._take()

    def _take(self) -> None:
        if not self._waiting:
            return
        vectors = np.concatenate(self._waiting)
        self._waiting = []
        if not self._index.is_trained:
            self._index.train(vectors)
        self._index.add(vectors)

    def finish(self) -> None:
        self._take()
        self._faiss.omp_set_num_threads(1)
        if hasattr(self._index, "nprobe"):
            self._index.nprobe = self._probes
        if hasattr(self._index, "hnsw"):
            self._index.hnsw.efSearch = 128

    def search(self, vector: FloatArray, top_k: int) -> Rows:
        found: Rows = self._index.search(vector[None], top_k)[1][0]
        return found


class Hnswlib:
    """hnswlib with M = 16, ef = 100 when it is built and 128 when it is searched."""

    def __init__(self, count: int, threads: int) -> None:
        library: Any = importlib.import_module("hnswlib")
        self._threads = threads
        self._index = library.Index(space="ip", dim=DIMENSION)
        self._index.init_index(max_elements=count, M=16, ef_construction=100)

    def add(self, vectors: FloatArray) -> None:
        self._index.add_items(vectors, num_threads=self._threads)

    def finish(self) -> None:
        self._index.set_ef(128)

    def search(self, vector: FloatArray, top_k: int) -> Rows:
        found: Rows = self._index.knn_query(vector[None], k=top_k, num_threads=1)[0][0].astype(np.int64)
        return found


class Usearch:
    """usearch with its own defaults."""

    def __init__(self, threads: int) -> None:
        library: Any = importlib.import_module("usearch.index")
        self._threads = threads
        self._index = library.Index(ndim=DIMENSION, metric="ip", dtype="f32")
        self._num = 0

    def add(self, vectors: FloatArray) -> None:
        self._index.add(np.arange(self._num, self._num + len(vectors)), vectors, threads=self._threads)
        self._num += len(vectors)

    def finish(self) -> None:
        pass

    def search(self, vector: FloatArray, top_k: int) -> Rows:
        found: Rows = self._index.search(vector, top_k).keys.astype(np.int64)
        return found


_FACTORIES = {"flat": "Flat", "ivf_sq8": "IVF1024,SQ8", "ivf_flat": "IVF1024,Flat", "hnsw_sq8": "HNSW16,SQ8"}
NAMES: Iterable[str] = ("frag", "flat", "hnswlib", "usearch", "ivf_sq8", "ivf_flat", "hnsw_sq8")


def make(name: str, folder: Path, count: int, threads: int) -> Contender:
    """One of `NAMES`, empty, for `count` vectors; `folder` is for its files."""
    if name == "frag":
        return Frag(folder, threads)
    if name == "hnswlib":
        return Hnswlib(count, threads)
    return Usearch(threads) if name == "usearch" else Faiss(_FACTORIES[name], threads)
