"""A node's data sets: checked, copied, listed by size, and refused when damaged."""

import json
import stat
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
