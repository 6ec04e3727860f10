"""The node's registry of data sets: checked training examples, each set in one file of the node's own.

A copy, so that later edits of the source change nothing silently. A file is lines of JSON: first what it holds, then
one example a line in the order of their ids. Knows nothing of training.
"""

import fcntl
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from frag.durable import sync_folder, write_private
from frag.errors import BadRequestError, ConflictError, DatasetError, NotFoundError
from prompt_tuning.dataset import DEFAULT_COLUMNS, Columns, Example, Objective, read_counted

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
    """What a data set holds, in numbers.

    An objective is supported when at least one example fits it. `sha256` is that of the examples: the same ones in
    another order, or with other duplicates, give the same. It is not keyed, so it stays on the node.
    """

    name: str
    num_examples: int
    num_groups: int
    has_passages: bool
    objectives: tuple[Objective, ...]
    sha256: str
    added_at: datetime
    num_duplicates: int


class DatasetRegistry:
    """The data sets in `folder`. Any number of processes may share it; nothing is kept in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, name: str, path: Path, columns: Columns = DEFAULT_COLUMNS, *, replace: bool = False) -> DatasetInfo:
        """Copies the examples of `path`; on disk when this returns.

        Raises:
            BadRequestError: The name does not fit.
            ConflictError: The name is taken, and `replace` is not set.
            DatasetError: The file, or a row of it, cannot be used. Then nothing changes.
        """
        self._check_free(name, replace=replace)
        examples, num_duplicates = read_counted(path, columns)
        examples.sort(key=lambda example: example.example_id)
        content = b"".join(msgspec.json.encode(example) + b"\n" for example in examples)
        info = _describe(name, examples, content, num_duplicates)
        with self._exclusive():
            self._check_free(name, replace=replace)
            write_private(self._file(name), msgspec.json.encode(info) + b"\n" + content)
        return info

    def listed(self) -> list[DatasetInfo]:
        """All data sets by name. Raises DatasetError when a stored file is damaged; names it."""
        stored = (path for path in self._folder.glob("*.jsonl") if _NAME.fullmatch(path.stem))
        return [self._info(path) for path in sorted(stored)]

    def info(self, name: str) -> DatasetInfo:
        """One data set. Raises NotFoundError, or DatasetError when its file is damaged."""
        return self._info(self._existing(name))

    def load(self, name: str) -> list[Example]:
        """The examples in the order of their ids.

        Raises:
            NotFoundError: There is no such data set.
            DatasetError: Its file is damaged.
        """
        path = self._existing(name)
        header, _, content = _read(path).partition(b"\n")
        if hashlib.sha256(content).hexdigest() != _decode_info(path, header).sha256:
            raise _damaged(path)
        try:
            return msgspec.json.Decoder(Example).decode_lines(content)
        except _NOT_JSON:
            raise _damaged(path) from None

    def remove(self, name: str) -> None:
        """Deletes the data set, damaged or not, with what a killed process left of it. Raises NotFoundError."""
        path = self._existing(name)
        with self._exclusive():
            path.unlink(missing_ok=True)
            for leftover in self._folder.glob(f".{path.name}.*"):
                leftover.unlink(missing_ok=True)
            sync_folder(self._folder)

    def _file(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            mend = "Use 1 to 64 of a-z, 0-9, - and _, beginning with a letter or digit."
            raise BadRequestError(f"The name of data set {name!r} does not fit.", mend)
        return self._folder / f"{name}.jsonl"

    def _existing(self, name: str) -> Path:
        path = self._file(name)
        if not path.is_file():
            raise NotFoundError(f"There is no data set {name!r}.", "See `frag dataset list`.")
        return path

    def _check_free(self, name: str, *, replace: bool) -> None:
        if self._file(name).exists() and not replace:
            raise ConflictError(f"There is a data set {name!r} already.", "Take another name, or --replace.")

    def _info(self, path: Path) -> DatasetInfo:
        try:
            with path.open("rb") as file:
                info = _decode_info(path, file.readline())
        except OSError as error:
            raise _unreadable(path, error) from None
        return info

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Two writers of one name would each find it free."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._folder / "write.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _describe(name: str, examples: list[Example], content: bytes, num_duplicates: int) -> DatasetInfo:
    return DatasetInfo(
        name=name,
        num_examples=len(examples),
        num_groups=len({example.group for example in examples}),
        has_passages=any(example.passages for example in examples),
        objectives=tuple(o for o in Objective if any(example.fits(o) for example in examples)),
        sha256=hashlib.sha256(content).hexdigest(),
        added_at=datetime.now(UTC).replace(microsecond=0),
        num_duplicates=num_duplicates,
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from None


def _decode_info(path: Path, header: bytes) -> DatasetInfo:
    try:
        info = msgspec.json.decode(header, type=DatasetInfo)
    except _NOT_JSON:
        raise _damaged(path) from None
    if info.name != path.stem:
        raise _damaged(path)
    return info


def _damaged(path: Path) -> DatasetError:
    mend = f"Remove it (`frag dataset remove {path.stem}`) and add it again."
    return DatasetError(f"The stored data set {path} is damaged.", mend)


def _unreadable(path: Path, error: OSError) -> DatasetError:
    return DatasetError(
        f"The stored data set {path} cannot be read ({type(error).__name__}).", "Check its permissions."
    )
