"""The node's training data sets: checked once when added, then kept as they were. Nothing in them is ever sent."""

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from frag.durable import write_private
from frag.errors import BadRequestError, ConflictError, DatasetError, NotFoundError
from prompt_tuning.dataset import Columns, Example, Objective, read_counted

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class DatasetInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of a data set: sizes, never text."""

    name: str
    num_examples: int
    num_groups: int
    num_duplicates: int
    has_passages: bool
    objectives: tuple[Objective, ...]
    sha256: str
    added_at: str


class Datasets:
    """The data sets in `folder`: for each a file of examples and one of its sizes, both readable by the owner only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, name: str, path: Path, columns: Columns | None = None, *, replace: bool = False) -> DatasetInfo:
        """Reads, checks and keeps a copy of the examples of `path`.

        Raises:
            BadRequestError: The name does not fit.
            ConflictError: There is one of that name, and `replace` is not set.
            DatasetError: The file cannot be used; names the line.
        """
        if not _NAME.fullmatch(name):
            raise BadRequestError(f"{name!r} is no name of a data set.", "Use a-z, 0-9, - and _, at most 64 of them.")
        if self._info_file(name).exists() and not replace:
            raise ConflictError(f"There is a data set {name} already.", "Choose another name, or give --replace.")
        examples, num_duplicates = read_counted(path, columns or Columns())
        content = msgspec.msgpack.encode(examples)
        info = DatasetInfo(
            name=name,
            num_examples=len(examples),
            num_groups=len({example.group or example.passages or example.example_id for example in examples}),
            num_duplicates=num_duplicates,
            has_passages=any(example.passages for example in examples),
            objectives=_objectives(examples),
            sha256=hashlib.sha256(content).hexdigest(),
            added_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_private(self._examples_file(name), content)
        write_private(self._info_file(name), msgspec.json.encode(info))
        return info

    def listed(self) -> list[DatasetInfo]:
        """All data sets by name. Raises DatasetError naming one whose file is damaged."""
        return [self.info(path.stem) for path in sorted(self._folder.glob("*.json"))]

    def info(self, name: str) -> DatasetInfo:
        """Sizes of one data set. Raises NotFoundError, or DatasetError when its file is damaged."""
        try:
            return msgspec.json.decode(self._info_file(name).read_bytes(), type=DatasetInfo)
        except FileNotFoundError as error:
            names = ", ".join(path.stem for path in sorted(self._folder.glob("*.json"))) or "none"
            raise NotFoundError(f"There is no data set {name!r}.", f"This node has: {names}.") from error
        except (OSError, msgspec.DecodeError) as error:
            raise self._damaged(name) from error

    def load(self, name: str) -> list[Example]:
        """The examples of one data set. Raises NotFoundError, or DatasetError when its file is damaged."""
        info = self.info(name)
        try:
            content = self._examples_file(name).read_bytes()
            if hashlib.sha256(content).hexdigest() != info.sha256:
                raise self._damaged(name)
            return msgspec.msgpack.decode(content, type=list[Example])
        except (OSError, msgspec.DecodeError) as error:
            raise self._damaged(name) from error

    def remove(self, name: str) -> None:
        """Deletes a data set. Raises NotFoundError when there is none of that name."""
        self.info(name)
        self._info_file(name).unlink()
        self._examples_file(name).unlink(missing_ok=True)

    def _info_file(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _examples_file(self, name: str) -> Path:
        return self._folder / f"{name}.examples"

    def _damaged(self, name: str) -> DatasetError:
        return DatasetError(f"The data set {name} in {self._folder} is damaged.", "Add it again with --replace.")


def _objectives(examples: list[Example]) -> tuple[Objective, ...]:
    found = []
    if all(example.question and example.answers for example in examples):
        found.append(Objective.SUPERVISED)
    if all(example.text for example in examples):
        found.append(Objective.CAUSAL_LM)
    return tuple(found)
