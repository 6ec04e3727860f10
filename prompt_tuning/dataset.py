"""Training examples: what they are, how they are read and checked, how they fall into train, validation and held out.

Knows nothing of tokens, of models, or of where a node keeps its data sets. Errors name the file and the line, never
the text.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path

import msgspec

from frag.errors import BadRequestError, DatasetError
from prompt_tuning.rows import Row, read_rows, read_squad_rows

MAX_QUESTION_CHARS = 8_000
MAX_ANSWER_CHARS = 16_000
MAX_PASSAGE_CHARS = 100_000
MAX_TEXT_CHARS = 100_000
MAX_GROUP_CHARS = 1_000
MAX_LIST_ITEMS = 100

_NO_TEXT = re.compile("[\0\ud800-\udfff]")


class Objective(StrEnum):
    """What is learnt: the answer to a question, or plain text."""

    SUPERVISED = "supervised"
    CAUSAL_LM = "causal_lm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One training example: a question with its answers, or a plain text, or both.

    `answers[0]` is trained on; all of them count as right in evaluation. Examples of one `group` fall on the same
    side of a split; without one it is the first passage, else the example itself. `unit` names the person or document
    that differential privacy is to protect; empty for the example itself. `make_example` gives the id.
    """

    example_id: str
    question: str = field(default="", repr=False)
    answers: tuple[str, ...] = field(default=(), repr=False)
    passages: tuple[str, ...] = field(default=(), repr=False)
    text: str = field(default="", repr=False)
    group: str = field(default="", repr=False)
    unit: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not self.group:
            group = _digest(self.passages[0]) if self.passages else self.example_id
            object.__setattr__(self, "group", group)

    def fits(self, objective: Objective) -> bool:
        """Whether there is something to learn from this example under `objective`."""
        return bool(self.question and self.answers) if objective is Objective.SUPERVISED else bool(self.text)

    def unit_for(self, objective: Objective) -> str:
        """What this example counts towards: its unit, for plain text without one its group, else itself."""
        own = self.group if objective is Objective.CAUSAL_LM else self.example_id
        return f"unit {self.unit}" if self.unit else f"own {own}"


def make_example(
    *,
    question: str = "",
    answers: tuple[str, ...] = (),
    passages: tuple[str, ...] = (),
    text: str = "",
    group: str = "",
    unit: str = "",
) -> Example:
    """An example whose id is the first 32 hex digits of the SHA-256 of its content, group and unit left out."""
    return Example(
        example_id=_digest((question, answers, passages, text)),
        question=question,
        answers=answers,
        passages=passages,
        text=text,
        group=group,
        unit=unit,
    )


def _digest(content: object) -> str:
    return hashlib.sha256(msgspec.msgpack.encode(content)).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Where a file keeps what an example is made of. Question and answer, or text, must be there."""

    question: str = "question"
    answer: str = "answer"
    passage: str = "passage"
    text: str = "text"
    group: str = "group"
    unit: str = "unit"


DEFAULT_COLUMNS = Columns()


def read_examples(path: Path, columns: Columns = DEFAULT_COLUMNS) -> list[Example]:
    """Reads and checks `path`: .jsonl, .ndjson, .csv or .tsv, or SQuAD-format .json; UTF-8, a BOM is tolerated.

    White space around a field is dropped and exact duplicates are merged. In JSON, answer and passage may be lists.

    Raises:
        DatasetError: The file cannot be read, is empty, or a row of it cannot be used; names the line.
    """
    return read_counted(path, columns)[0]


def read_counted(path: Path, columns: Columns = DEFAULT_COLUMNS) -> tuple[list[Example], int]:
    """Like `read_examples`, with the number of duplicates that were merged."""
    return _collect(path, read_rows(path), columns)


def read_squad(path: Path) -> list[Example]:
    """Reads SQuAD-format JSON, whatever its suffix: passage and group are the paragraph.

    Raises:
        DatasetError: The file is not in that format, or holds no question with an answer; names the place.
    """
    return _collect(path, read_squad_rows(path), DEFAULT_COLUMNS)[0]


def _collect(path: Path, rows: Iterable[Row], columns: Columns) -> tuple[list[Example], int]:
    found: dict[tuple[str, str], tuple[Example, str]] = {}
    groups: dict[str, tuple[str, str]] = {}
    seen: set[str] = set()
    num_rows = 0
    for row in rows:
        num_rows += 1
        seen.update(row.fields)
        example = _example(row, columns)
        # what two units both have stays with both: else one unit would decide what the other contributes
        found.setdefault((example.example_id, example.unit), (example, row.place))
        group, place = groups.setdefault(example.example_id, (example.group, row.place))
        if group != example.group:
            raise row.error(f"repeats {place} in another group", "Give both the same group, or remove one.")
    if not found:
        raise DatasetError(f"{path} holds no examples.", "Give a file with at least one question and answer, or text.")
    _check_named_columns(path, columns, seen)
    return [example for example, _ in found.values()], num_rows - len(found)


def _check_named_columns(path: Path, columns: Columns, seen: set[str]) -> None:
    """A misspelt name of an optional column must not pass for a file without it."""
    for column in fields(Columns):
        name = getattr(columns, column.name)
        if name != column.default and name not in seen:
            raise DatasetError(f"{path} has no column {name!r}.", f"Mend the name of the {column.name} column.")


def _example(row: Row, columns: Columns) -> Example:
    question = _text(row, columns.question, MAX_QUESTION_CHARS)
    answers = _texts(row, columns.answer, MAX_ANSWER_CHARS)
    text = _text(row, columns.text, MAX_TEXT_CHARS)
    _check_complete(row, columns, question=bool(question), answers=bool(answers), text=bool(text))
    return make_example(
        question=question,
        answers=answers,
        passages=_texts(row, columns.passage, MAX_PASSAGE_CHARS),
        text=text,
        group=_name(row, columns.group),
        unit=_name(row, columns.unit),
    )


def _check_complete(row: Row, columns: Columns, *, question: bool, answers: bool, text: bool) -> None:
    if question != answers:
        there, absent = (columns.question, columns.answer) if question else (columns.answer, columns.question)
        raise row.error(f"has {there!r} and no {absent!r}", "Fill in both, or remove the row.")
    if not question and not text:
        problem = f"has neither {columns.question!r} and {columns.answer!r} nor {columns.text!r}"
        raise row.error(problem, "Fill them in, or say which columns hold them (--question-column and so on).")


def _name(row: Row, column: str) -> str:
    value = row.fields.get(column)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _text(row, column, MAX_GROUP_CHARS)


def _texts(row: Row, column: str, limit: int) -> tuple[str, ...]:
    """One text, or a list of them without blanks and repetitions."""
    value = row.fields.get(column)
    values = value if isinstance(value, list) else [value]
    if len(values) > MAX_LIST_ITEMS:
        raise row.error(f"{column!r} has {len(values)} items, over {MAX_LIST_ITEMS}", "Keep the best ones.")
    return tuple(dict.fromkeys(text for item in values if (text := _checked(row, column, item, limit))))


def _text(row: Row, column: str, limit: int) -> str:
    return _checked(row, column, row.fields.get(column), limit)


def _checked(row: Row, column: str, value: object, limit: int) -> str:
    """The text without white space around it and with `\\n` as the only line end; empty if it is absent."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise row.error(f"{column!r} is not text", "Write it as text in quotes.")
    text = value.replace("\r\n", "\n").replace("\r", "\n").strip()
    if len(text) > limit:
        raise row.error(f"{column!r} has {len(text):,} characters, over {limit:,}", "Shorten it, or split the row.")
    if _NO_TEXT.search(text):
        raise row.error(f"{column!r} holds a zero or half a surrogate pair, so it is no text", "Remove the character.")
    return text


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Split:
    """The sides of a split, each in the order of the ids, so that nothing depends on the order of a file."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    held_out: tuple[Example, ...]

    def __repr__(self) -> str:
        return f"Split(train={len(self.train)}, validation={len(self.validation)}, held_out={len(self.held_out)})"


def split(
    examples: Iterable[Example],
    *,
    seed: int = 0,
    validation: float = 0.1,
    held_out: float = 0.1,
    always_trains: bool = True,
) -> Split:
    """Puts every group on one side, by a number in [0, 1) drawn from SHA-256 of seed and group.

    Below `held_out` it is held out, below `held_out + validation` it validates, else it trains. So a group's side
    depends on nothing but the seed, the fractions and itself: adding examples moves none, and what is held out does
    not depend on `validation`. The fractions hold in expectation, over groups; a side may be empty when they are few.

    One exception, for few groups: if none draws training (chance 0.2^n for n groups at the defaults, 1e-7 for ten),
    the one with the highest number trains all the same. Only then can groups that are added later move it back.

    Args:
        examples: In any order.
        seed: Another seed is another split.
        validation: Fraction of the groups in [0, 1).
        held_out: Fraction of the groups in [0, 1).
        always_trains: Whether that exception is made. Without it no group decides where another one falls, which
            differential privacy asks for.

    Raises:
        BadRequestError: The fractions are negative or leave nothing to train on.
    """
    if not (validation >= 0 and held_out >= 0 and validation + held_out < 1):
        raise BadRequestError(
            f"validation {validation} and held_out {held_out} are no fractions with a rest to train on.",
            "Let both be at least 0 and their sum below 1.",
        )
    ordered = sorted(examples, key=lambda example: (example.example_id, example.group))
    draws = {example.group: _draw(seed, example.group) for example in ordered}
    train_from = held_out + validation
    if always_trains:
        train_from = min(train_from, max(draws.values(), default=0.0))
    sides: dict[str, list[Example]] = {"train": [], "validation": [], "held_out": []}
    for example in ordered:
        draw = draws[example.group]
        side = "train" if draw >= train_from else "held_out" if draw < held_out else "validation"
        sides[side].append(example)
    return Split(**{side: tuple(members) for side, members in sides.items()})


def _draw(seed: int, group: str) -> float:
    """A number in [0, 1) with 53 bits, uniform over groups."""
    digest = hashlib.sha256(msgspec.msgpack.encode((str(seed), group))).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53
