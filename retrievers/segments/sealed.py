"""A sealed segment that is searched: a mapped file, and the ids in it that were deleted since."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from frag.protocols import FloatArray
from retrievers.segments import quantiser
from retrievers.segments.manifest import Row
from retrievers.segments.segment_file import SegmentFile
from retrievers.vector_index import IdArray, one_thread

PROBES = 128
_CODES = 20_000
"""Lists that a search looks into, chosen by `docs/index-benchmark.md`."""


@dataclass(frozen=True, slots=True)
class SealedSegment:
    """Approximate: names candidates, whose scores are then taken from the database. `dead` ascends."""

    row: Row
    file: SegmentFile = field(repr=False)
    index: Any = field(repr=False)
    dead: IdArray = field(repr=False)
    selector: Any = field(repr=False)

    @classmethod
    def open(cls, folder: Path, row: Row, dead: IdArray) -> "SealedSegment":
        """Raises IndexStoreError when a file is missing or damaged."""
        file = SegmentFile.open(folder / row.name)
        index = file.mapped(quantiser.read(folder / row.quantiser))
        return cls(row, file, index, dead, _selector(dead))

    @property
    def num_alive(self) -> int:
        return len(self.file.ids) - len(self.dead)

    def without(self, ids: IdArray) -> "SealedSegment":
        """The same with `ids`, ascending, marked as deleted; itself if it holds none of them alive."""
        own = self.file.ids
        found = own[np.minimum(np.searchsorted(own, ids), max(0, len(own) - 1))] == ids if len(own) else ids < 0
        gone = np.setdiff1d(ids[found], self.dead)
        if not len(gone):
            return self
        dead = np.union1d(self.dead, gone)
        return SealedSegment(self.row, self.file, self.index, dead, _selector(dead))

    def candidates(self, vector: FloatArray, depth: int) -> tuple[IdArray, FloatArray]:
        """About the `depth` best living ids for `vector` [d], and their approximate scores; -1 is padding."""
        parameters = quantiser.faiss().SearchParametersIVF(
            sel=self.selector, nprobe=min(self.index.nlist, max(PROBES, depth // 8, self._affordable()))
        )
        with one_thread():
            scores, ids = self.index.search(vector[None], depth, params=parameters)
        return ids[0], scores[0]

    def _affordable(self) -> int:
        """Lists of a small segment that hold `_CODES` together: looking into them costs about a millisecond."""
        return 1 + int(self.index.nlist) * _CODES // max(1, len(self.file.ids))


def _selector(dead: IdArray) -> Any:  # noqa: ANN401
    if not len(dead):
        return None
    return quantiser.faiss().IDSelectorNot(quantiser.faiss().IDSelectorBatch(dead))
