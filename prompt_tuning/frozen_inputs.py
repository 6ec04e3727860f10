"""Keys and values of what the frozen model reads, kept over steps, epochs and rounds.

Runs that examples share (the instruction, the passage of several questions) are computed once. They are kept in memory,
then in one memory-mapped file, and computed again at each use beyond both limits.

A cache of keys and values is text in another form: the file has mode 0600 and no name, so it is gone with the process.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from frag.protocols import Progress
from prompt_tuning.adapted_pass import Ids, left_padded
from prompt_tuning.forward import Forward
from prompt_tuning.kv_cache import BatchCache, KeyValues, joined

Chain = tuple[Ids, ...]
"""Runs of ids that follow each other; a run's keys depend on all before it."""

_MAX_ROWS = 8


class FrozenInputs:
    """Computes and keeps the runs of one model. Not thread-safe.

    The same chains given to `prepare` in the same order are computed in the same batches, hence to the same bits.

    Args:
        forward: The frozen model.
        memory_bytes: Limit of what is kept in memory.
        file_bytes: Limit of the file; 0 for none.
        folder: Where the file lies; the system's temporary folder when absent.
    """

    def __init__(
        self, forward: Forward, *, memory_bytes: int = 2 << 30, file_bytes: int = 0, folder: Path | None = None
    ) -> None:
        self._forward = forward
        self._memory_left = memory_bytes
        self._kept: dict[Chain, KeyValues] = {}
        self._file = _KeyValueFile(file_bytes, folder) if file_bytes else None

    def __len__(self) -> int:
        return len(self._kept)

    def prepare(self, chains: Sequence[Chain], progress: Progress = lambda _done, _total: None) -> None:
        """Computes every run of the chains, parents first, siblings in batches."""
        depths = max(map(len, chains), default=0)
        links = [list(dict.fromkeys(c[: depth + 1] for c in chains if len(c) > depth)) for depth in range(depths)]
        total, done = sum(map(len, links)), 0
        for depth in range(depths):
            families: dict[Chain, list[Chain]] = {}
            for chain in links[depth]:
                families.setdefault(chain[:-1], []).append(chain)
            for parent, children in families.items():
                for start in range(0, len(children), _MAX_ROWS):
                    batch = [chain for chain in children[start : start + _MAX_ROWS] if chain not in self._kept]
                    if batch:
                        self._keep(batch, self._compute(parent, [chain[-1] for chain in batch]))
                    done += len(children[start : start + _MAX_ROWS])
                    progress(done, total)

    def get(self, chain: Chain) -> list[KeyValues]:
        """Keys and values of every run of the chain, in order."""
        return [self._run(chain[: depth + 1]) for depth in range(len(chain))]

    def _run(self, chain: Chain) -> KeyValues:
        found = self._kept.get(chain)
        return found if found is not None else self._compute(chain[:-1], [chain[-1]])[0]

    @torch.no_grad()
    def _compute(self, parent: Chain, runs: Sequence[Ids]) -> list[KeyValues]:
        """Keys and values of sibling runs behind their common parent."""
        seen = self.get(parent)
        start = sum(part.num_tokens for part in seen)
        ids, positions, visible = left_padded(runs)
        cache = BatchCache(self._forward.cache_shape, num_rows=len(runs), capacity=start + ids.shape[1])
        cache.start_with([joined(seen)] * len(runs))
        self._forward.hidden(self._forward.embed(ids), start + positions, visible, cache)
        return [cache.last_of_row(row, len(run)) for row, run in enumerate(runs)]

    def _keep(self, chains: Sequence[Chain], computed: Sequence[KeyValues]) -> None:
        for chain, part in zip(chains, computed, strict=True):
            if part.num_bytes <= self._memory_left:
                self._memory_left -= part.num_bytes
                self._kept[chain] = part
            elif self._file is not None and (written := self._file.add(part)) is not None:
                self._kept[chain] = written


class _KeyValueFile:
    """An unnamed file of keys and values that the system may page out."""

    def __init__(self, limit_bytes: int, folder: Path | None) -> None:
        handle, name = tempfile.mkstemp(dir=folder, prefix=".frozen-")  # mode 0600
        Path(name).unlink()
        with os.fdopen(handle, "r+b") as file:
            file.truncate(limit_bytes)
            self._bytes = np.memmap(file, dtype=np.uint8, mode="r+", shape=(limit_bytes,))
        self._end = 0

    def add(self, part: KeyValues) -> KeyValues | None:
        """The same keys and values in the file; None when there is no room."""
        if self._end + part.num_bytes > len(self._bytes):
            return None
        return KeyValues(keys=self._write(part.keys), values=self._write(part.values))

    def _write(self, tensor: Tensor) -> Tensor:
        size = tensor.numel() * tensor.element_size()
        place = torch.from_numpy(self._bytes[self._end : self._end + size]).view(tensor.dtype).view(tensor.shape)
        place.copy_(tensor)
        self._end += size
        return place
