"""Reads one file into records, by its suffix: plain text, Markdown, HTML, PDF, Word, CSV, JSON lines.

Every reader takes any bytes and raises nothing but DocumentError and OSError. Messages never quote the file.
"""

import codecs
import csv
import io
import logging
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from frag.errors import DocumentError

if TYPE_CHECKING:
    from bs4 import BeautifulSoup
    from docx.table import Table
    from docx.text.paragraph import Paragraph

_MAX_UNPACKED_BYTES = 512 * 2**20
"""A Word file is a zip archive: this is what a small one may grow to."""

_PARSER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    RecursionError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What the parsers let through over broken bytes, found by fuzzing and in their sources."""


@dataclass(frozen=True, slots=True)
class Record:
    """One document of a file. `row` is its id or number inside the file, empty if it is the whole file.

    `problem` says why a row has no text; the other rows of the file are still good.
    """

    text: str = field(repr=False, default="")
    title: str = field(repr=False, default="")
    row: str = ""
    problem: str = ""


Reader = Callable[[Path], Iterator[Record]]


def _corrupt(kind: str, error: BaseException) -> DocumentError:
    return DocumentError(
        f"cannot be read as {kind} ({type(error).__name__})",
        "Save it again, or convert it to text.",
        reason="corrupt",
    )


def decode(content: bytes) -> str:
    """Text in UTF-8, or in UTF-16 with a byte order mark, with `\\n` as the only line end.

    Raises:
        DocumentError: The bytes are neither.
    """
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError("is not text in UTF-8", "Save it as UTF-8.", reason="corrupt") from error
    if "\0" in text:
        raise DocumentError("holds zero bytes, so it is no text", "Convert it to text.", reason="corrupt")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_text(path: Path) -> Iterator[Record]:
    yield Record(decode(path.read_bytes()))


def read_markdown(path: Path) -> Iterator[Record]:
    text = decode(path.read_bytes())
    heading = re.search(r"^# +(\S.*)$", text, re.MULTILINE)
    yield Record(text, heading[1].strip() if heading else "")


_BLOCKS = re.compile(
    "address|article|aside|blockquote|body|br|caption|d[dlt]|div|fieldset|fig(caption|ure)|footer|form|h[1-6r]"
    "|header|li|main|nav|[ou]l|p|pre|section|table|t[dhr]"
)
_UNSEEN = {"title", "script", "style", "noscript", "template", "head"}
_BREAK = "\0"
"""Stands where a block begins or ends; no HTML holds this character."""


def read_html(path: Path) -> Iterator[Record]:
    """The visible text; every block element is a paragraph."""
    from bs4 import BeautifulSoup
    from bs4.exceptions import ParserRejectedMarkup

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # hints to programmers, such as that a page looks like XML
            # not html.parser, which takes minutes over a megabyte of unclosed comments
            soup = BeautifulSoup(_html_source(path.read_bytes()), "lxml")
        yield _html_record(soup)
    except (ParserRejectedMarkup, *_PARSER_ERRORS) as error:
        raise _corrupt("HTML", error) from error


def _html_source(content: bytes) -> str | bytes:
    """Text if it is UTF-8; else bytes, whose encoding the page declares or the parser guesses."""
    try:
        return decode(content)
    except DocumentError:
        return content


def _html_record(soup: "BeautifulSoup") -> Record:
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    paragraphs = (" ".join(part.split()) for part in "".join(_html_parts(soup)).split(_BREAK))
    return Record("\n\n".join(filter(None, paragraphs)), " ".join(title.split()))


def _html_parts(soup: "BeautifulSoup") -> Iterator[str]:
    """The shown strings in order, and a break around every block. Takes linear time, however deep the page is."""
    from bs4.element import CData, NavigableString, Tag

    open_elements = [(iter(soup.contents), "")]
    while open_elements:
        children, mark = open_elements[-1]
        child = next(children, None)
        if child is None:
            yield mark
            open_elements.pop()
        elif isinstance(child, Tag):
            if child.name not in _UNSEEN:
                mark = _BREAK if _BLOCKS.fullmatch(child.name) else ""
                yield mark
                open_elements.append((iter(child.contents), mark))
        elif type(child) in (NavigableString, CData):  # subclasses are comments and the like
            yield str(child)


def read_pdf(path: Path) -> Iterator[Record]:
    """The text layer, pages as paragraphs. A scanned page without one has no text."""
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, DeprecationError, PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it quotes the file; what matters is raised as well
    try:
        with path.open("rb") as file:
            reader = PdfReader(file, strict=False)
            if reader.is_encrypted and not reader.decrypt(""):
                raise DocumentError("is locked with a password", "Save it without.", reason="corrupt")
            pages = [page.extract_text() for page in reader.pages]
            title = (reader.metadata.title if reader.metadata else None) or ""
    except (PyPdfError, DependencyError, DeprecationError, *_PARSER_ERRORS) as error:
        raise _corrupt("PDF", error) from error
    yield Record("\n\n".join(filter(None, (page.strip() for page in pages))), str(title).strip())


def read_docx(path: Path) -> Iterator[Record]:
    """Paragraphs and tables in order; a table row is a line, its cells set apart by ` | `."""
    import docx
    from docx.exceptions import PythonDocxError
    from docx.opc.exceptions import OpcError

    try:
        with path.open("rb") as file:
            _check_unpacked_size(file)
            word = docx.Document(file)
            blocks = [_docx_text(block) for block in word.iter_inner_content()]
            title = word.core_properties.title
    except (PythonDocxError, OpcError, *_PARSER_ERRORS) as error:
        raise _corrupt("a Word document", error) from error
    yield Record("\n\n".join(filter(None, blocks)), (title or "").strip())


def _check_unpacked_size(file: io.BufferedReader) -> None:
    with zipfile.ZipFile(file) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    file.seek(0)
    if size > _MAX_UNPACKED_BYTES:
        raise DocumentError(f"{size} bytes when unpacked are too much", reason="too_large")


def _docx_text(block: "Paragraph | Table") -> str:
    if hasattr(block, "rows"):
        rows = (" | ".join(cell.text.strip() for cell in row.cells) for row in block.rows)
        return "\n".join(rows).strip()
    return str(block.text).strip()


def read_csv(path: Path) -> Iterator[Record]:
    """One record per row: the column `text`, or else all columns as `name: value` lines.

    The first line names the columns; `id` and `title` are used if present. Separated by `,`, `;` or tabs.
    """
    text = decode(path.read_bytes())
    first_line = text.partition("\n")[0]
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first_line.count))
    try:
        names = [name.strip() for name in next(rows, [])]
    except csv.Error as error:
        raise _corrupt("CSV", error) from error
    number = 0
    while True:
        number += 1
        try:
            values = next(rows)
        except StopIteration:
            return
        except csv.Error:
            yield Record(row=str(number), problem="the row is malformed or a field is over 128 KiB")
            continue
        if any(value.strip() for value in values):
            yield _csv_record(dict(zip(names, values, strict=False)), number)


def _csv_record(row: dict[str, str], number: int) -> Record:
    special = {name.lower(): value for name, value in row.items() if name.lower() in ("id", "title", "text")}
    text = special.get("text") or "\n".join(f"{name}: {value}" for name, value in row.items() if value.strip())
    return Record(text, special.get("title", "").strip(), special.get("id", "").strip() or str(number))


def read_jsonl(path: Path) -> Iterator[Record]:
    """One record per line: the field `text`, or else all strings of the line; `id` and `title` if present."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip(codecs.BOM_UTF8 + b" \t\r\n"):
                yield _jsonl_record(line.removeprefix(codecs.BOM_UTF8), number)


def _jsonl_record(line: bytes, number: int) -> Record:
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Record(row=str(number), problem="the line is not JSON")
    if not isinstance(value, dict):
        return Record("\n".join(_strings(value)), row=str(number))
    row, title, text = (value.get(name) for name in ("id", "title", "text"))
    if not isinstance(text, str):
        text = "\n".join(_strings({name: part for name, part in value.items() if name != "id"}))
    return Record(
        text,
        title if isinstance(title, str) else "",
        str(row) if isinstance(row, str | int) and not isinstance(row, bool) and row != "" else str(number),
    )


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


READERS: dict[str, Reader] = {
    ".txt": read_text,
    ".md": read_markdown,
    ".html": read_html,
    ".htm": read_html,
    ".pdf": read_pdf,
    ".docx": read_docx,
    ".csv": read_csv,
    ".jsonl": read_jsonl,
}
