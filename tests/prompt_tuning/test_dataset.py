"""Training examples: what a file may hold, what its errors say, and on which side an example falls."""

import contextlib
import csv
import hashlib
import io
import json
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frag.errors import BadRequestError, DatasetError
from prompt_tuning.dataset import (
    MAX_ANSWER_CHARS,
    MAX_PASSAGE_CHARS,
    MAX_QUESTION_CHARS,
    Columns,
    Example,
    Objective,
    make_example,
    read_counted,
    read_examples,
    read_squad,
    split,
)

SECRET = "Xylander-7741"
fuzz = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def jsonl(folder: Path, *rows: object) -> Path:
    return write(folder, "rows.jsonl", "\n".join(map(json.dumps, rows)))


class TestExample:
    def test_the_id_is_that_of_the_content_and_not_of_the_group(self) -> None:
        example = make_example(question="q", answers=("a",), group="one")
        assert len(example.example_id) == 32
        assert int(example.example_id, 16)
        assert make_example(question="q", answers=("a",), group="two").example_id == example.example_id
        assert make_example(question="q", answers=("b",)).example_id != example.example_id
        assert make_example(question="qa", answers=("",)).example_id != example.example_id

    def test_questions_of_one_passage_are_one_group(self) -> None:
        first = make_example(question="q1", answers=("a",), passages=("shared", "more"))
        second = make_example(question="q2", answers=("a",), passages=("shared", "other"))
        assert first.group == second.group
        assert make_example(question="q3", answers=("a",)).group != make_example(question="q4", answers=("a",)).group

    def test_its_repr_holds_no_text(self) -> None:
        fields = {"question": SECRET, "answers": (SECRET,), "passages": (SECRET,), "text": SECRET, "group": SECRET}
        assert SECRET not in repr(Example(example_id="1", **fields))
        assert SECRET not in repr(split([Example(example_id="1", **fields)]))

    def test_what_fits_which_objective(self) -> None:
        pair, text = make_example(question="q", answers=("a",)), make_example(text="t")
        assert [pair.fits(o) for o in Objective] == [True, False]
        assert [text.fits(o) for o in Objective] == [False, True]


class TestReading:
    def test_json_lines(self, tmp_path: Path) -> None:
        path = jsonl(
            tmp_path,
            {"question": " Who? ", "answer": ["Ada", "Ada Lovelace", "Ada"], "passage": "p", "group": 3},
            {"text": "Plain.", "question": None},
        )
        pair, text = read_examples(path)
        assert (pair.question, pair.answers, pair.passages, pair.group) == (
            "Who?",
            ("Ada", "Ada Lovelace"),
            ("p",),
            "3",
        )
        assert text == make_example(text="Plain.")

    def test_a_quoted_field_of_csv_may_hold_separators_quotes_and_lines(self, tmp_path: Path) -> None:
        path = write(tmp_path, "rows.csv", 'question,answer\r\n"Who, or\r\nwhat?","""Ada"""\r\n\r\nWhen?,1843\r\n')
        assert [(e.question, e.answers) for e in read_examples(path)] == [
            ("Who, or\nwhat?", ('"Ada"',)),
            ("When?", ("1843",)),
        ]

    @pytest.mark.parametrize(("name", "separator"), [("a.csv", ","), ("a.csv", ";"), ("a.csv", "\t"), ("a.TSV", "\t")])
    def test_separators_and_a_byte_order_mark(self, tmp_path: Path, name: str, separator: str) -> None:
        text = f"question{separator}answer\nWho?{separator}Ada\n"
        assert read_examples(write(tmp_path, name, b"\xef\xbb\xbf" + text.encode()))[0].answers == ("Ada",)

    def test_line_separators_inside_json_are_no_line_ends(self, tmp_path: Path) -> None:
        path = write(tmp_path, "a.ndjson", '{"text": "one\u2028two\x85three"}\n')
        assert read_examples(path)[0].text == "one\u2028two\x85three"

    def test_columns_by_other_names(self, tmp_path: Path) -> None:
        path = write(tmp_path, "a.csv", "frage,antwort,quelle\nWer?,Ada,Buch\n")
        columns = Columns(question="frage", answer="antwort", passage="quelle")
        assert read_examples(path, columns)[0] == make_example(question="Wer?", answers=("Ada",), passages=("Buch",))

    def test_squad(self, tmp_path: Path) -> None:
        answers = [{"text": "Ada", "answer_start": 0}, {"text": "Ada", "answer_start": 0}, {"text": "A. L."}]
        questions = [{"question": "Who?", "answers": answers}, {"question": "Unanswerable?", "answers": []}]
        content = {"data": [{"title": "t", "paragraphs": [{"context": "Ada did.", "qas": questions}]}]}
        expected = [make_example(question="Who?", answers=("Ada", "A. L."), passages=("Ada did.",))]
        path = write(tmp_path, "a.json", json.dumps(content))
        assert read_squad(path) == read_examples(path) == expected

    def test_duplicates_are_merged_and_counted(self, tmp_path: Path) -> None:
        row = {"question": "Who?", "answer": "Ada"}
        examples, num_duplicates = read_counted(jsonl(tmp_path, row, {**row, "answer": " Ada\r\n"}, row, {"text": "t"}))
        assert (len(examples), num_duplicates) == (2, 2)


class TestErrors:
    """Each names the file, the line and the mend, and quotes nothing of the file."""

    @pytest.mark.parametrize(
        ("name", "content", "place", "mend"),
        [
            ("a.jsonl", f'{{"text": "fine"}}\n\n{{"text": "{SECRET}}}', "line 3", "one object a line"),
            ("a.jsonl", f'["{SECRET}"]', "line 1", "one object a line"),
            ("a.jsonl", f'{{"question": "{SECRET}"}}', "line 1: has 'question' and no 'answer'", "both"),
            ("a.jsonl", f'{{"question": " ", "answer": "{SECRET}"}}', "no 'question'", "both"),
            ("a.jsonl", f'{{"title": "{SECRET}"}}', "neither", "--question-column"),
            ("a.jsonl", f'{{"text": {{"{SECRET}": 1}}}}', "'text' is not text", "quotes"),
            ("a.jsonl", f'{{"question": "{SECRET}", "answer": 42}}', "'answer' is not text", "quotes"),
            ("a.jsonl", f'{{"text": "{SECRET}\\u0000"}}', "line 1", "Remove the character"),
            ("a.jsonl", f'{{"text": "{SECRET}\\ud800"}}', "line 1", ""),
            ("a.jsonl", '{"text": "' + "[" * 5, "line 1", ""),
            ("a.jsonl", '{"text": ' + "[" * 100_000, "line 1", ""),
            ("a.jsonl", SECRET.encode() + b"\xff", "line 1: is not UTF-8", "UTF-8"),
            ("a.csv", f"question,answer\n{SECRET},b,c\n", "line 2: has 3 fields", "quotes"),
            ("a.csv", f'question,answer\nWho?,"two\nlines"\n"{SECRET},x\n', "line 4", "Close every quote"),
            ("a.csv", f'question,answer\n"{SECRET}"x,y\n', "line 2", "quote"),
            ("a.csv", f"{SECRET},other\n1,2\n", "line 2: has neither", "--question-column"),
            ("a.csv", "answer,question,answer\n1,2,3\n", "line 1: names a column twice", "name of its own"),
            ("a.csv", f"question,answer\n{SECRET},\n", "line 2", "both"),
            ("a.csv", "question,answer\nWho?,Ada\n".encode("utf-16"), "line 1: is not UTF-8", "UTF-8"),
            ("a.csv", f"text\n{SECRET}{'x' * 140_000}\n", "line 2", ""),
            ("a.json", f'{{"data": [{{"paragraphs": "{SECRET}"}}]}}', "article 1", "SQuAD"),
            ("a.json", f'{{"data": "{SECRET}', "not JSON", "SQuAD"),
            ("a.json", f'["{SECRET}"]', "top level", "SQuAD"),
            ("a.parquet", SECRET, "suffix", ".jsonl, .ndjson, .csv"),
            ("a.jsonl", "", "holds no examples", "at least one"),
            ("a.csv", "question,answer\n", "holds no examples", "at least one"),
            ("a.json", '{"data": []}', "holds no examples", "at least one"),
        ],
    )
    def test_they_name_line_and_mend(
        self, tmp_path: Path, name: str, content: str | bytes, place: str, mend: str
    ) -> None:
        path = write(tmp_path, name, content)
        with pytest.raises(DatasetError) as caught:
            read_examples(path)
        assert str(path) in caught.value.what
        assert place in caught.value.what
        assert caught.value.mend
        assert mend in caught.value.mend
        assert SECRET not in "".join(traceback.format_exception_only(caught.value)) + caught.value.mend

    @pytest.mark.parametrize(
        ("row", "limit"),
        [
            ({"question": "x", "answer": "a"}, MAX_QUESTION_CHARS),
            ({"question": "q", "answer": "x"}, MAX_ANSWER_CHARS),
            ({"question": "q", "answer": "a", "passage": "x"}, MAX_PASSAGE_CHARS),
            ({"text": "x"}, 100_000),
        ],
        ids=["question", "answer", "passage", "text"],
    )
    def test_lengths_are_limited(self, tmp_path: Path, row: dict[str, str], limit: int) -> None:
        longest = {key: value * limit if value == "x" else value for key, value in row.items()}
        assert len(read_examples(jsonl(tmp_path, longest))) == 1
        longer = {key: value + "x" if len(value) == limit else value for key, value in longest.items()}
        with pytest.raises(DatasetError, match=f"line 1: .* {limit + 1:,} characters"):
            read_examples(jsonl(tmp_path, longer))

    def test_one_example_in_two_groups(self, tmp_path: Path) -> None:
        """It would be trained on and held out."""
        with pytest.raises(DatasetError, match="line 2: repeats line 1 in another group"):
            read_examples(jsonl(tmp_path, {"text": "t", "group": "a"}, {"text": "t", "group": "b"}))

    def test_a_misspelt_column_does_not_pass_for_a_file_without_it(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match=r"no column 'contxt'.* passage column"):
            read_examples(jsonl(tmp_path, {"question": "q", "answer": "a", "context": "c"}), Columns(passage="contxt"))

    def test_a_file_that_is_none(self, tmp_path: Path) -> None:
        for path in (tmp_path / "absent.csv", tmp_path / "zero\0.csv", tmp_path / ("long" * 100 + ".csv")):
            with pytest.raises(DatasetError):
                read_examples(path)
        (tmp_path / "folder.csv").mkdir()
        with pytest.raises(DatasetError, match="no file"):
            read_examples(tmp_path / "folder.csv")


SUFFIXES = st.sampled_from([".jsonl", ".csv", ".tsv", ".json"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["question", "answer", "passage", "text", "group"])

PLACES = ("answers", "qas", "paragraph", "paragraphs", "article", "data", "top")
WRAPPINGS: tuple[Callable[[object], object], ...] = (
    lambda inner: [{"question": "q", "answers": inner}],
    lambda inner: {"context": "c", "qas": inner},
    lambda inner: [inner],
    lambda inner: {"paragraphs": inner},
    lambda inner: [inner],
    lambda inner: {"data": inner},
)


class TestHostileFiles:
    @fuzz
    @given(content=st.binary(max_size=200), suffix=SUFFIXES, header=st.sampled_from([b"", b"question,answer\n"]))
    def test_any_bytes(self, tmp_path: Path, content: bytes, suffix: str, header: bytes) -> None:
        with contextlib.suppress(DatasetError):
            assert read_examples(write(tmp_path, f"a{suffix}", header + content))

    @fuzz
    @given(rows=st.lists(st.dictionaries(NAMES, VALUES), max_size=4))
    def test_any_json_values(self, tmp_path: Path, rows: list[dict[str, object]]) -> None:
        with contextlib.suppress(DatasetError):
            assert read_examples(jsonl(tmp_path, *rows))

    @fuzz
    @given(content=VALUES, place=st.sampled_from(PLACES))
    def test_any_value_inside_squad(self, tmp_path: Path, content: object, place: str) -> None:
        nested = content
        for wrap in WRAPPINGS[PLACES.index(place) :]:
            nested = wrap(nested)
        with contextlib.suppress(DatasetError):
            assert read_examples(write(tmp_path, "a.json", json.dumps(nested)))

    @fuzz
    @given(fields=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)))
    def test_what_csv_writes_is_read(self, tmp_path: Path, fields: list[str]) -> None:
        out = io.StringIO(newline="")
        csv.writer(out).writerows([["text"], *([field] for field in fields)])
        texts = {field.replace("\r\n", "\n").replace("\r", "\n").strip() for field in fields} - {""}
        path = write(tmp_path, "a.csv", out.getvalue())
        if texts:
            assert {example.text for example in read_examples(path)} == texts
        else:
            with pytest.raises(DatasetError):
                read_examples(path)


def of_group(group: int, member: int = 0) -> Example:
    return make_example(text=f"{group}/{member}", group=f"group {group}")


EXAMPLES = st.lists(st.builds(of_group, st.integers(0, 60), st.integers(0, 5)), max_size=60)
ANCHORS = [of_group(number) for number in range(1000, 1040)]
"""So many groups that one of them trains: 0.2^40."""


def sides(examples: list[Example], seed: int = 0) -> dict[str, str]:
    parts = split(examples, seed=seed)
    return {
        example.example_id: side for side in ("train", "validation", "held_out") for example in getattr(parts, side)
    }


class TestSplit:
    @given(examples=EXAMPLES, seed=st.integers(0, 9), random=st.randoms(use_true_random=False))
    def test_it_does_not_depend_on_order_and_loses_nothing(self, examples, seed, random) -> None:
        parts = split(examples, seed=seed)
        shuffled = random.sample(examples, len(examples))
        assert split(shuffled, seed=seed) == parts
        together = [*parts.train, *parts.validation, *parts.held_out]
        assert sorted(e.example_id for e in together) == sorted(e.example_id for e in examples)

    @given(examples=EXAMPLES, seed=st.integers(0, 9))
    def test_no_group_is_on_two_sides(self, examples, seed) -> None:
        parts = split(examples, seed=seed)
        groups = [{e.group for e in side} for side in (parts.train, parts.validation, parts.held_out)]
        assert sum(map(len, groups)) == len(set().union(*groups))

    @given(examples=EXAMPLES, added=EXAMPLES, seed=st.integers(0, 9))
    def test_adding_examples_moves_none(self, examples, added, seed) -> None:
        before = sides([*ANCHORS, *examples], seed)
        after = sides([*ANCHORS, *examples, *added], seed)
        assert before.items() <= after.items()

    @given(examples=EXAMPLES.filter(bool), seed=st.integers(0, 1000))
    def test_there_is_always_something_to_train_on(self, examples, seed) -> None:
        assert split(examples, seed=seed).train
        assert split(examples[:1], seed=seed, validation=0.5, held_out=0.49).train == (examples[0],)

    def test_fractions_hold_over_many_groups(self) -> None:
        """Within five standard deviations of a binomial of 4,000."""
        parts = split([of_group(number) for number in range(4000)], validation=0.2, held_out=0.1)
        assert abs(len(parts.validation) - 800) < 5 * (4000 * 0.2 * 0.8) ** 0.5
        assert abs(len(parts.held_out) - 400) < 5 * (4000 * 0.1 * 0.9) ** 0.5

    def test_another_seed_is_another_split_and_validation_does_not_move_what_is_held_out(self) -> None:
        examples = [of_group(number) for number in range(200)]
        assert split(examples, seed=1) != split(examples, seed=2)
        assert split(examples, validation=0.5).held_out == split(examples, validation=0.0).held_out
        assert split(examples, validation=0.0).validation == ()

    def test_it_is_the_same_on_every_machine(self) -> None:
        """Pinned: another draw would put held-out examples of a running federation into training."""
        held_out = split([of_group(number) for number in range(40)]).held_out
        drawn = {n: hashlib.sha256(b"\x92\xa10" + f"\xa7group {n}".encode("latin-1")).digest() for n in range(10)}
        expected = {f"group {n}" for n, digest in drawn.items() if int.from_bytes(digest[:8], "big") < 0.1 * 2**64}
        assert {e.group for e in held_out if len(e.group) == 7} == expected == {"group 0", "group 6"}

    def test_nothing_stays_nothing(self) -> None:
        assert split([]).train == ()

    @pytest.mark.parametrize(("validation", "held_out"), [(0.5, 0.5), (-0.1, 0.1), (float("nan"), 0.1), (0.1, 2)])
    def test_fractions_that_leave_nothing_to_train_on(self, validation: float, held_out: float) -> None:
        with pytest.raises(BadRequestError, match="rest to train on"):
            split([], validation=validation, held_out=held_out)


class TestUnits:
    def test_a_column_names_the_unit(self, tmp_path: Path) -> None:
        path = jsonl(tmp_path, {"question": "q", "answer": "a", "person": 7}, {"question": "r", "answer": "b"})
        first, second = read_examples(path, Columns(unit="person"))
        assert first.unit_for(Objective.SUPERVISED) == "unit 7"
        assert second.unit_for(Objective.SUPERVISED) == f"own {second.example_id}"

    def test_what_two_units_have_stays_with_both(self, tmp_path: Path) -> None:
        """Else taking Ann out would add to what Bob contributes."""
        rows = [{"question": "q", "answer": "a", "unit": unit} for unit in ("ann", "bob", "bob")]
        examples, num_duplicates = read_counted(jsonl(tmp_path, *rows))
        assert sorted(example.unit for example in examples) == ["ann", "bob"]
        assert num_duplicates == 1

    @given(examples=EXAMPLES, added=EXAMPLES, seed=st.integers(0, 9))
    def test_without_the_exception_no_group_moves_another(self, examples, added, seed) -> None:
        before, after = (split(given, seed=seed, always_trains=False) for given in (examples, [*examples, *added]))
        assert {e.example_id for e in before.train} <= {e.example_id for e in after.train}

    def test_without_the_exception_nothing_may_train(self) -> None:
        example = make_example(text="alone")
        assert not split([example], validation=0.5, held_out=0.49999, always_trains=False).train
