"""Reads the `frag …` lines out of the documentation, and parses them as the program would."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from server.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "THREAT_MODEL.md",
    ROOT / "CHANGELOG.md",
    *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name not in {"cli.md", "settings.md"}),
    *sorted((ROOT / "deploy").rglob("*.md")),
    ROOT / "benchmarks" / "README.md",
]
"""Pages that people wrote; `cli.md` and `settings.md` are made from the program."""

_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`(frag [^`]+)`(?!`)")
_IN_COMMENT = re.compile(r"(?:^|: |or: )(frag [^`]*)$")
_SHELLS = {"sh", "bash", "console"}
_ENDS = {"&&", "||", "|", ";", "&", ")", "(", ">", ">>", "2>&1", "<", ">&"}
_NUMBERS = {"N": "3"}
UsageError: Any = typer.BadParameter.__mro__[1]


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the words behind the fence, and what is in it."""

    page: str
    line: int
    info: str
    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """The words behind `frag`. A `mention` in running text may leave required arguments out."""

    page: str
    line: int
    words: tuple[str, ...]
    is_mention: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: frag {shlex.join(self.words)}"


def blocks(page: Path, languages: set[str]) -> list[Block]:
    """Fenced blocks in one of these languages."""
    text = page.read_text(encoding="utf-8")
    found = [(text[: match.start()].count("\n") + 1, match[1], match[2]) for match in _FENCE.finditer(text)]
    name = str(page.relative_to(ROOT))
    return [Block(name, line, info, body) for line, info, body in found if info.split(" ")[0] in languages]


def commands(page: Path) -> list[Command]:
    """All of a page: lines of shell blocks, their comments, and code in running text."""
    name = str(page.relative_to(ROOT))
    found = []
    for block in blocks(page, _SHELLS):
        joined = block.text.replace("\\\n", " \x00")
        number = block.line
        for line in joined.split("\n"):
            number += 1
            found += [Command(name, number, words, is_mention=False) for words in _in_line(line.replace("\x00", ""))]
            comment = re.search(r"(?:^|\s)#\s*(.*)$", line)
            spans = [*_SPAN.findall(comment[1]), *_IN_COMMENT.findall(comment[1])] if comment else []
            found += [Command(name, number, words, is_mention=True) for span in spans for words in _variants(span)]
            number += line.count("\x00")
    text = page.read_text(encoding="utf-8")
    prose = _FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)
    for match in _SPAN.finditer(prose):
        number = prose[: match.start()].count("\n") + 1
        found += [Command(name, number, words, is_mention=True) for words in _variants(match[1])]
    return found


def _in_line(line: str) -> Iterator[tuple[str, ...]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        tokens = list(lexer)
    except ValueError:  # a quotation that goes on in the next line, as JSON for curl does
        tokens = line.split()
    for token in tokens:
        for inner in re.findall(r"\$\((frag [^()]*)\)", token):
            yield from _in_line(inner)
    for at, token in enumerate(tokens):
        if token == "frag" or token.endswith("/bin/frag"):
            rest = tokens[at + (2 if tokens[at - 1] == "--entrypoint" else 1) :]
            end = next((index for index, word in enumerate(rest) if word in _ENDS), len(rest))
            if rest[:end]:
                yield tuple(rest[:end])


def _variants(span: str) -> Iterator[tuple[str, ...]]:
    """`[--quick]` is an option that may be there; `a | b` are two commands."""
    words = shlex.split(" ".join(re.sub(r"[\[\]]", "", span).split()))[1:]
    if "|" not in words:
        yield tuple(words)
        return
    first = words.index("|") - 1
    for choice in (word for word in words[first:] if word != "|"):
        yield (*words[:first], choice)


def mistake(command: Command) -> str:
    """What the program would refuse of it; empty if nothing."""
    try:
        _parse(command.words)
    except UsageError as error:
        said = f"{command}: {error.format_message()}"
        is_left_out = type(error).__name__ == "MissingParameter" or said.endswith("requires an argument.")
        return "" if command.is_mention and is_left_out else said
    return ""


def is_complete(command: Command) -> bool:
    """Whether it says all that the program asks for, in words of its own."""
    if any(mark in word for word in command.words for mark in ("…", "$")) or set(command.words) & set(_NUMBERS):
        return False
    if any(word.isupper() and word.isalpha() for word in command.words):
        return False  # NODE, FILE and others stand for something
    try:
        return _parse(command.words) == "command"
    except UsageError:
        return False


def _parse(words: tuple[str, ...]) -> str:
    """Raises UsageError. Returns whether the words end at a `command` or at a `group`."""
    found: Any = typer.main.get_command(app)
    rest = [_NUMBERS.get(word, word) for word in words]
    context = None
    if rest[:1] in (["--install-completion"], ["--show-completion"], ["--version"], ["--help"]):
        return "command"
    while hasattr(found, "commands"):
        if not rest:
            return "group"
        context = found.make_context(found.name, rest[:1], parent=context)
        _, found, rest = found.resolve_command(context, rest)
    found.make_context(found.name, [word for word in rest if word != "--help"], parent=context)
    return "command"
