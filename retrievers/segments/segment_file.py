"""One sealed segment on the disk: inverted lists of codes, the ids in order, where each list lies, checksums.

The lists lie as FAISS maps them: codes, then ids, each list padded to eight entries so that ids are aligned. A file is
written beside, synced and renamed, and never changed after.
"""

import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from frag.durable import sync_folder
from frag.errors import IndexStoreError
from retrievers.segments.quantiser import faiss
from retrievers.vector_index import IdArray

CodeArray = npt.NDArray[np.uint8]
Lists = Iterable[tuple[CodeArray, IdArray]]

_PADDING = 8
_ID_BYTES = 8
_MAGIC = b"fragseg1"
_FOOTER = np.dtype(
    [
        ("num_vectors", "<u8"),
        ("num_lists", "<u8"),
        ("code_bytes", "<u8"),
        ("list_bytes", "<u8"),
        ("list_checksum", "<u4"),
        ("table_checksum", "<u4"),
        ("magic", "S8"),
    ]
)


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """What the end of a file says: `ids` [n] ascending, `table` [lists, 3] of sizes, capacities and offsets."""

    path: Path
    code_bytes: int
    list_bytes: int
    list_checksum: int
    ids: IdArray = field(repr=False)
    table: IdArray = field(repr=False)

    @classmethod
    def open(cls, path: Path) -> "SegmentFile":
        """Raises IndexStoreError when the file is missing, or its end is damaged."""
        try:
            with path.open("rb") as file:
                num_bytes = file.seek(0, os.SEEK_END)
                footer = _footer(file, num_bytes)
                file.seek(int(footer["list_bytes"]))
                num_ids, num_lists = int(footer["num_vectors"]), int(footer["num_lists"])
                rest = np.frombuffer(file.read(_ID_BYTES * (num_ids + 3 * num_lists)), dtype="<i8")
        except (OSError, ValueError) as error:
            raise _damaged(path) from error
        if len(rest) != num_ids + 3 * num_lists or zlib.crc32(rest.data) != int(footer["table_checksum"]):
            raise _damaged(path)
        return cls(
            path,
            int(footer["code_bytes"]),
            int(footer["list_bytes"]),
            int(footer["list_checksum"]),
            rest[:num_ids],
            rest[num_ids:].reshape(num_lists, 3),
        )

    def lists(self) -> Iterator[tuple[CodeArray, IdArray]]:
        """Codes [m, code_bytes] and ids [m] of every list in order, read and not mapped."""
        with self.path.open("rb") as file:
            for size, capacity, offset in self.table.tolist():
                file.seek(offset)
                block = np.frombuffer(file.read(capacity * (self.code_bytes + _ID_BYTES)), dtype=np.uint8)
                codes = block[: size * self.code_bytes].reshape(size, self.code_bytes)
                start = capacity * self.code_bytes
                yield codes, block[start : start + size * _ID_BYTES].view("<i8")

    def is_sound(self) -> bool:
        """Reads it all and compares the checksum."""
        checksum, left = 0, self.list_bytes
        with self.path.open("rb") as file:
            while left and (block := file.read(min(left, 1 << 22))):
                checksum, left = zlib.crc32(block, checksum), left - len(block)
        return not left and checksum == self.list_checksum

    def mapped(self, index: Any) -> Any:  # noqa: ANN401
        """`index`, empty and of the same quantiser, with these lists mapped from the disk."""
        lists = faiss().OnDiskInvertedLists(len(self.table), self.code_bytes, str(self.path))
        table = np.ascontiguousarray(self.table, dtype=np.uint64)
        faiss().memcpy(lists.lists.data(), faiss().swig_ptr(table), table.nbytes)  # three size_t each, in this order
        lists.totsize, lists.read_only, lists.prefetch_nthread = self.list_bytes, True, 0
        lists.do_mmap()
        lists.this.disown()
        index.replace_invlists(lists, True)  # noqa: FBT003 - FAISS takes no names: it owns them now
        index.ntotal = len(self.ids)
        return index


def write_segment(path: Path, lists: Lists, code_bytes: int) -> int:
    """Writes `lists` durably to `path`; returns how many vectors they hold."""
    temporary = path.with_name(f".{path.name}")
    table, parts, offset, checksum = [], [], 0, 0
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            for codes, ids in lists:
                block = _block(codes, ids, code_bytes)
                table.append((len(ids), len(block) // (code_bytes + _ID_BYTES), offset))
                parts.append(ids)
                file.write(block)
                offset, checksum = offset + len(block), zlib.crc32(block, checksum)
            ids = np.sort(np.concatenate(parts)).astype("<i8")
            rest = ids.tobytes() + np.array(table, dtype="<i8").tobytes()
            numbers = (len(ids), len(table), code_bytes, offset, checksum, zlib.crc32(rest), _MAGIC)
            file.write(rest + np.array([numbers], dtype=_FOOTER).tobytes())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return len(ids)


def lists_in_memory(index: Any) -> Iterator[tuple[CodeArray, IdArray]]:  # noqa: ANN401
    """The lists of a FAISS index that was filled in memory."""
    inside = index.invlists
    for number in range(index.nlist):
        size = inside.list_size(number)
        if not size:
            yield np.zeros((0, inside.code_size), np.uint8), np.zeros(0, np.int64)
            continue
        codes = faiss().rev_swig_ptr(inside.get_codes(number), size * inside.code_size)
        yield codes.reshape(size, -1), faiss().rev_swig_ptr(inside.get_ids(number), size)


def _block(codes: CodeArray, ids: IdArray, code_bytes: int) -> bytes:
    spare = -len(ids) % _PADDING
    return b"".join((codes.tobytes(), bytes(spare * code_bytes), ids.astype("<i8").tobytes(), bytes(spare * _ID_BYTES)))


def _footer(file: Any, num_bytes: int) -> Any:  # noqa: ANN401 - a row of a structured array
    if num_bytes < _FOOTER.itemsize:
        raise ValueError("too short")
    file.seek(num_bytes - _FOOTER.itemsize)
    footer = np.frombuffer(file.read(_FOOTER.itemsize), dtype=_FOOTER)[0]
    tables = _ID_BYTES * (int(footer["num_vectors"]) + 3 * int(footer["num_lists"]))
    if footer["magic"] != _MAGIC or int(footer["list_bytes"]) + tables + _FOOTER.itemsize != num_bytes:
        raise ValueError("the end is damaged")
    return footer


def _damaged(path: Path) -> IndexStoreError:
    return IndexStoreError(f"{path} is missing or damaged.", "`frag node compact` makes it anew.")
