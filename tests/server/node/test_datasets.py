"""A node's data sets: checked, copied, listed by size, and refused when damaged."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from frag.errors import BadRequestError, ConflictError, DatasetError, NotFoundError
from prompt_tuning.dataset import Columns, Objective
from server.node.datasets import Datasets

ROWS = [
    {"question": "Who keeps the keys?", "answer": "the porter", "passage": "The porter keeps the keys."},
    {"question": "Where?", "answer": ["behind the door", "door"], "passage": "The porter keeps the keys."},
    {"question": "Where?", "answer": ["behind the door", "door"], "passage": "The porter keeps the keys."},
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "examples.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)))
    return path


@pytest.fixture
def datasets(tmp_path: Path) -> Datasets:
    return Datasets(tmp_path / "datasets")


def test_a_copy_is_kept_and_only_its_sizes_are_told(datasets: Datasets, source: Path, tmp_path: Path) -> None:
    info = datasets.add("qa", source)
    assert (info.num_examples, info.num_groups, info.num_duplicates, info.has_passages) == (2, 1, 1, True)
    assert info.objectives == (Objective.SUPERVISED,)
    source.write_text("gone")
    assert [example.answers for example in datasets.load("qa")] == [("the porter",), ("behind the door", "door")]
    assert datasets.listed() == [info]
    assert "porter" not in repr(info)
    for path in (tmp_path / "datasets").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_columns_can_have_other_names(datasets: Datasets, tmp_path: Path) -> None:
    path = tmp_path / "examples.csv"
    path.write_text('frage,antwort\n"Wo,\nund wann?",hier\n')
    datasets.add("german", path, Columns(question="frage", answer="antwort"))
    assert datasets.load("german")[0].question == "Wo,\nund wann?"


def test_names_are_taken_once_unless_replaced(datasets: Datasets, source: Path) -> None:
    datasets.add("qa", source)
    with pytest.raises(ConflictError):
        datasets.add("qa", source)
    source.write_text(json.dumps({"text": "Plain text."}))
    assert datasets.add("qa", source, replace=True).objectives == (Objective.CAUSAL_LM,)
    for name in ("", "../up", "A", "x" * 65):
        with pytest.raises(BadRequestError):
            datasets.add(name, source)


def test_a_file_that_cannot_be_used_changes_nothing(datasets: Datasets, source: Path) -> None:
    datasets.add("qa", source)
    source.write_text('{"question": "Who?"}')
    with pytest.raises(DatasetError, match="1"):
        datasets.add("qa", source, replace=True)
    assert len(datasets.load("qa")) == 2


def test_damage_and_absence_are_named(datasets: Datasets, source: Path, tmp_path: Path) -> None:
    datasets.add("qa", source)
    stored = tmp_path / "datasets" / "qa.examples"
    stored.write_bytes(stored.read_bytes()[:-1])
    with pytest.raises(DatasetError, match="qa"):
        datasets.load("qa")
    with pytest.raises(NotFoundError, match="other"):
        datasets.load("other")
    datasets.remove("qa")
    assert datasets.listed() == []
    with pytest.raises(NotFoundError):
        datasets.remove("qa")


@pytest.mark.parametrize("name", ["../datasets/qa", "", "QA", "qa\n", "x" * 65])
def test_names_are_checked_wherever_they_are_used(datasets: Datasets, source: Path, name: str) -> None:
    """Jobs bring names from outside."""
    datasets.add("qa", source)
    for use in (datasets.load, datasets.info, datasets.remove):
        with pytest.raises(BadRequestError):
            use(name)


@pytest.mark.parametrize("keep", [0, 1, 40, -1], ids=lambda keep: f"[:{keep}]")
def test_a_damaged_file_can_be_replaced_and_removed(
    datasets: Datasets, source: Path, tmp_path: Path, keep: int
) -> None:
    stored = tmp_path / "datasets" / "qa.examples"
    for mend in (lambda: datasets.add("qa", source, replace=True), lambda: datasets.remove("qa")):
        datasets.add("qa", source, replace=True)
        stored.write_bytes(stored.read_bytes()[:keep])
        with pytest.raises(DatasetError, match=r"qa .* is damaged"):
            datasets.load("qa")
        mend()
    assert list((tmp_path / "datasets").iterdir()) == []


def test_a_file_under_another_name_is_damaged(datasets: Datasets, source: Path, tmp_path: Path) -> None:
    datasets.add("qa", source)
    (tmp_path / "datasets" / "qa.examples").rename(tmp_path / "datasets" / "other.examples")
    with pytest.raises(DatasetError, match="other"):
        datasets.listed()
    datasets.add("whole", source)
    assert datasets.usable() == ["whole"], "jobs can still ask for the others"


REPLACEMENT = """
import os, sys
from pathlib import Path
from server.node.datasets import Datasets

num_steps = int(sys.argv[3])

def counted(real):
    def step(*arguments):
        global num_steps
        num_steps -= 1
        if num_steps < 0:
            os._exit(9)
        return real(*arguments)
    return step

os.fsync, Path.replace = counted(os.fsync), counted(Path.replace)
Datasets(Path(sys.argv[1])).add("qa", Path(sys.argv[2]), replace=True)
"""


def test_a_replacement_that_is_killed_leaves_a_whole_set(datasets: Datasets, source: Path, tmp_path: Path) -> None:
    """Killed before each step that makes it durable: sync the file, rename, sync the folder."""
    datasets.add("qa", source)
    source.write_text(json.dumps({"text": "Another."}))
    seen = []
    for num_steps in range(4):
        command = [sys.executable, "-c", REPLACEMENT, str(tmp_path / "datasets"), str(source), str(num_steps)]
        ended = subprocess.run(command, check=False).returncode
        seen.append((ended, len(datasets.load("qa")), datasets.info("qa").num_examples))
    assert seen == [(9, 2, 2), (9, 2, 2), (9, 1, 1), (0, 1, 1)]
    datasets.remove("qa")
    assert list((tmp_path / "datasets").iterdir()) == []
