"""The node's training data sets: checked once when added, then kept as they were. Nothing in them is ever sent.

A data set is one file, so that a replacement is whole or has not happened: a line of JSON with its sizes, then its
examples in msgpack. Knows nothing of training.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from frag.durable import sync_folder, write_private
from frag.errors import BadRequestError, ConflictError, DatasetError, NotFoundError
from prompt_tuning.dataset import Columns, Example, Objective, read_counted

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class DatasetInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of a data set: sizes, never text. An objective is listed when every example fits it.

    `sha256` is that of the stored examples and `added_at` an ISO 8601 time in UTC.
    """

    name: str
    num_examples: int
    num_groups: int
    num_duplicates: int
    has_passages: bool
    objectives: tuple[Objective, ...]
    sha256: str
    added_at: str


class Datasets:
    """The data sets in `folder`: for each a file that only the owner can read. Nothing is kept in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, name: str, path: Path, columns: Columns | None = None, *, replace: bool = False) -> DatasetInfo:
        """Reads, checks and keeps a copy of the examples of `path`.

        Raises:
            BadRequestError: The name does not fit.
            ConflictError: There is one of that name, and `replace` is not set.
            DatasetError: The file cannot be used; names the line.
        """
        stored = self._file(name)
        if stored.exists() and not replace:
            raise ConflictError(f"There is a data set {name} already.", "Choose another name, or give --replace.")
        examples, num_duplicates = read_counted(path, columns or Columns())
        return self._write(name, examples, num_duplicates, datetime.now(UTC).isoformat(timespec="seconds"))

    def extend(self, name: str, examples: Sequence[Example]) -> DatasetInfo:
        """Adds examples that it does not hold yet; makes the data set when there is none. Raises DatasetError."""
        held: list[Example] = []
        num_duplicates = 0
        with suppress(NotFoundError):
            held, num_duplicates = self.load(name), self.info(name).num_duplicates
        known = {(example.example_id, example.unit) for example in held}
        new = {(example.example_id, example.unit): example for example in examples}
        added = [example for identity, example in new.items() if identity not in known]
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return self._write(name, [*held, *added], num_duplicates + len(examples) - len(added), now)

    def keep(self, name: str, wanted: Callable[[Example], bool]) -> int:
        """Drops the examples that are not wanted, and the data set itself when none is left; returns how many went.

        Raises as `load` does.
        """
        info, examples = self.info(name), self.load(name)
        left = [example for example in examples if wanted(example)]
        if not left:
            self.remove(name)
        elif len(left) < len(examples):
            self._write(name, left, info.num_duplicates, info.added_at)
        return len(examples) - len(left)

    def _write(self, name: str, examples: list[Example], num_duplicates: int, added_at: str) -> DatasetInfo:
        content = msgspec.msgpack.encode(examples)
        info = DatasetInfo(
            name=name,
            num_examples=len(examples),
            num_groups=len({example.group for example in examples}),
            num_duplicates=num_duplicates,
            has_passages=any(example.passages for example in examples),
            objectives=_objectives(examples),
            sha256=hashlib.sha256(content).hexdigest(),
            added_at=added_at,
        )
        write_private(self._file(name), msgspec.json.encode(info) + b"\n" + content)
        return info

    def listed(self) -> list[DatasetInfo]:
        """All data sets by name. Raises DatasetError naming one whose file is damaged."""
        return [self.info(name) for name in self._names()]

    def usable(self) -> list[str]:
        """Names of the data sets that are whole; a damaged one must not keep the others from training."""
        names = []
        for name in self._names():
            with suppress(DatasetError):
                names.append(self.info(name).name)
        return names

    def sizes(self) -> dict[str, int]:
        """Examples of each data set that is whole."""
        found = {}
        for name in self._names():
            with suppress(DatasetError, NotFoundError):
                found[name] = self.info(name).num_examples
        return found

    def info(self, name: str) -> DatasetInfo:
        """Sizes of one data set, without reading its examples.

        Raises:
            BadRequestError: The name does not fit.
            NotFoundError: There is none of that name.
            DatasetError: Its file is damaged.
        """
        with self._opened(name) as file:
            return self._decode_info(name, file.readline())

    def load(self, name: str) -> list[Example]:
        """The examples of one data set. Raises as `info` does."""
        with self._opened(name) as file:
            info = self._decode_info(name, file.readline())
            content = file.read()
        if hashlib.sha256(content).hexdigest() != info.sha256:
            raise self._damaged(name)
        try:
            return msgspec.msgpack.decode(content, type=list[Example])
        except _MALFORMED:
            raise self._damaged(name) from None

    def remove(self, name: str) -> None:
        """Deletes a data set, damaged or not, and what a killed process left of it. Raises NotFoundError."""
        path = self._file(name)
        if not path.is_file():
            raise self._absent(name)
        path.unlink()
        for leftover in self._folder.glob(f".{path.name}.*"):
            leftover.unlink(missing_ok=True)
        sync_folder(self._folder)

    def _names(self) -> list[str]:
        return sorted(path.stem for path in self._folder.glob("*.examples") if _NAME.fullmatch(path.stem))

    def _file(self, name: str) -> Path:
        """Also for names that come from the network, so they are checked here."""
        if not _NAME.fullmatch(name):
            raise BadRequestError(f"{name!r} is no name of a data set.", "Use a-z, 0-9, - and _, at most 64 of them.")
        return self._folder / f"{name}.examples"

    @contextmanager
    def _opened(self, name: str) -> Iterator[BinaryIO]:
        try:
            with self._file(name).open("rb") as file:
                yield file
        except FileNotFoundError:
            raise self._absent(name) from None
        except OSError:
            raise self._damaged(name) from None

    def _decode_info(self, name: str, line: bytes) -> DatasetInfo:
        try:
            info = msgspec.json.decode(line, type=DatasetInfo)
        except _MALFORMED:
            raise self._damaged(name) from None
        if info.name != name:
            raise self._damaged(name)
        return info

    def _absent(self, name: str) -> NotFoundError:
        names = ", ".join(self._names()) or "none"
        return NotFoundError(f"There is no data set {name!r}.", f"This node has: {names}.")

    def _damaged(self, name: str) -> DatasetError:
        mend = f"Add it again with --replace, or give it up: `frag dataset remove {name}`."
        return DatasetError(f"The data set {name} in {self._folder} is damaged.", mend)


def _objectives(examples: list[Example]) -> tuple[Objective, ...]:
    return tuple(objective for objective in Objective if all(example.fits(objective) for example in examples))
