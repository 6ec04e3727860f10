"""Streams the rows of a file: JSON lines, CSV, or SQuAD-format JSON, told by its suffix.

Knows nothing of what the columns mean. Takes any bytes and raises nothing but DatasetError, whose text names the
place and never quotes the file.
"""

import codecs
import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from frag.errors import DatasetError

MAX_LINE_BYTES = 8 * 2**20
MAX_JSON_BYTES = 512 * 2**20
"""JSON lines and CSV are streamed; one JSON document has to be held as a whole."""

_Part = TypeVar("_Part", bound=msgspec.Struct)
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: values by column, and the place to name when one of them is wrong."""

    path: Path
    place: str
    fields: Mapping[str, object] = field(repr=False)

    def error(self, problem: str, mend: str) -> DatasetError:
        return _error(self.path, self.place, problem, mend)


def _error(path: Path, place: str, problem: str, mend: str) -> DatasetError:
    return DatasetError(f"{path}, {place}: {problem}.", mend)


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of `path` in order; blank lines are left out.

    Raises:
        DatasetError: The file is missing, has another suffix, or a line of it is malformed.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DatasetError(f"{path} is no file with a known suffix.", f"Give one that ends in {', '.join(READERS)}.")
    return reader(path)


def read_jsonl_rows(path: Path) -> Iterator[Row]:
    """One JSON object a line."""
    for number, line in _lines(path):
        if line.strip():
            yield Row(path=path, place=f"line {number}", fields=_json_object(path, number, line))


def _json_object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except _NOT_JSON:
        place, mend = f"line {number}", 'Write one object a line: {"question": "…", "answer": "…"}.'
        raise _error(path, place, "is not a JSON object in one line", mend) from None


def read_csv_rows(path: Path) -> Iterator[Row]:
    """One record a row; the first row names the columns. Separated by `,`, `;` or tabs, fields quoted by `"`."""
    numbered = _lines(path)
    first = next(numbered, (1, ""))[1]
    delimiter = max(",;\t", key=first.count) if path.suffix.lower() != ".tsv" else "\t"
    lines = chain([first], (line for _, line in numbered))
    names: list[str] | None = None
    for number, values in _records(path, csv.reader(lines, delimiter=delimiter, strict=True)):
        if names is None:
            names = _column_names(path, number, values)
        elif len(values) == len(names):
            fields = dict(zip(names, values, strict=True))
            yield Row(path=path, place=f"line {number}", fields=fields)
        else:
            problem = f"has {len(values)} fields where the first row has {len(names)}"
            raise _error(path, f"line {number}", problem, 'Put fields that hold a separator in quotes ("…").')


def _records(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """The records that are not blank, each with the number of the line on which it begins."""
    while True:
        number = reader.line_num + 1
        try:
            values = next(reader, None)
        except csv.Error as error:
            mend = 'Close every quote, and double the quotes inside a quoted field ("").'
            raise _error(path, f"line {number}", f"is not well-formed CSV ({error})", mend) from None
        if values is None:
            return
        if any(map(str.strip, values)):
            yield number, values


def _column_names(path: Path, number: int, values: list[str]) -> list[str]:
    names = [value.strip() for value in values]
    used = [name for name in names if name]
    if len(set(used)) < len(used):
        raise _error(path, f"line {number}", "names a column twice", "Give each column a name of its own.")
    return names


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Each line with its number from 1, decoded on its own, so that an error can name it."""
    check_readable(path)
    number = 0
    try:
        with path.open("rb") as file:
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                yield number, _decode(path, number, line)
    except OSError as error:
        raise _unreadable(path, error) from None


def _decode(path: Path, number: int, line: bytes) -> str:
    if len(line) > MAX_LINE_BYTES:
        problem = f"is longer than {MAX_LINE_BYTES // 2**20} MiB"
        raise _error(path, f"line {number}", problem, "Write one example a line.")
    try:
        return line.removeprefix(codecs.BOM_UTF8 if number == 1 else b"").decode()
    except UnicodeDecodeError:
        raise _error(path, f"line {number}", "is not UTF-8", "Save the file as UTF-8.") from None


def check_readable(path: Path) -> None:
    """Raises DatasetError unless `path` is a regular file: a pipe or a device would never end."""
    try:
        if path.is_file():
            return
    except OSError as error:
        raise _unreadable(path, error) from None
    raise DatasetError(f"There is no file {path}.", "Mend the path.")


def _unreadable(path: Path, error: OSError) -> DatasetError:
    return DatasetError(f"{path} cannot be read ({type(error).__name__}).", "Check its permissions and its disk.")


class _Answer(msgspec.Struct):
    text: str


class _Question(msgspec.Struct):
    question: str
    answers: list[_Answer]


class _Paragraph(msgspec.Struct):
    context: str
    qas: list[_Question]


class _Article(msgspec.Struct):
    paragraphs: list[_Paragraph]


class _Squad(msgspec.Struct):
    data: list[msgspec.Raw]


_SQUAD_MEND = "Give SQuAD-format JSON (data → paragraphs → context and qas), or save the rows as JSON lines (.jsonl)."


def read_squad_rows(path: Path) -> Iterator[Row]:
    """One row a question of SQuAD-format JSON. Questions without an answer (SQuAD 2) are left out."""
    squad = _parse(path, "the top level", _json_document(path), _Squad)
    for a, raw in enumerate(squad.data, 1):
        article = _parse(path, f"article {a}", raw, _Article)
        for p, paragraph in enumerate(article.paragraphs, 1):
            for q, item in enumerate(paragraph.qas, 1):
                if item.answers:
                    yield _squad_row(path, f"article {a}, paragraph {p}, question {q}", paragraph, item)


def _squad_row(path: Path, place: str, paragraph: _Paragraph, item: _Question) -> Row:
    answers = [answer.text for answer in item.answers]
    fields = {"question": item.question, "answer": answers, "passage": paragraph.context}
    return Row(path=path, place=place, fields=fields)


def _json_document(path: Path) -> bytes:
    check_readable(path)
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise DatasetError(
                f"{path} is over {MAX_JSON_BYTES // 2**20} MiB.", "Save its rows as JSON lines (.jsonl)."
            )
        return path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise _unreadable(path, error) from None


def _parse(path: Path, place: str, content: bytes | msgspec.Raw, kind: type[_Part]) -> _Part:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:  # its text holds types and names of fields, never values
        raise _error(path, place, f"is not SQuAD's format ({error})", _SQUAD_MEND) from None
    except _NOT_JSON as error:
        reason = str(error) if isinstance(error, msgspec.DecodeError) else type(error).__name__
        raise _error(path, place, f"is not JSON ({reason})", _SQUAD_MEND) from None


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": read_jsonl_rows,
    ".ndjson": read_jsonl_rows,
    ".csv": read_csv_rows,
    ".tsv": read_csv_rows,
    ".json": read_squad_rows,
}
