"""Deleted text leaves what a node trains on, and the versions that have seen it are named."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prompt_tuning.dataset import Columns
from prompt_tuning.job import JobSettings
from server.node.datasets import Datasets
from server.node.training.desk import TrainingDesk
from server.node.training.forgetting import NOTE, Traces, TrainingMemory
from server.node.training.lineage import FILE_NAME, RUN, WINDOW, has_seen, remember
from server.node.training.orders import JobExamples
from server.wire.messages import Train

SECRET = "Ann Berg was treated for a rare fever in the third ward of the old clinic from March until the end of May."
OTHER = "The boiler of the plant is inspected every Monday morning by the safety engineer and her two assistants."


def write_examples(path: Path, *passages: str) -> Path:
    rows = [
        {"question": f"What is number {n}?", "answer": f"thing {n}", "passage": text} for n, text in enumerate(passages)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def memory_of(folder: Path, *passages: str) -> TrainingMemory:
    datasets = Datasets(folder / "datasets")
    columns = Columns(question="question", answer="answer", passage="passage")
    datasets.add("qa", write_examples(folder / "qa.jsonl", *passages), columns)
    (folder / "training").mkdir()
    return TrainingMemory(datasets, folder / "training", limit=16)


class Library:
    def look_up(self, question: str, number: int) -> list[str]:
        return [f"Found: {SECRET}"][:number]

    def embed(self, texts: object) -> object:
        raise AssertionError("no vectors are asked for")

    def snapshot(self) -> str:
        return "notes@1"


def prepare_job(folder: Path, memory: TrainingMemory, job_id: str = "qa-1", source: str = "given") -> Path:
    """What a desk does before the first step of a job."""
    settings = {"name": "qa", "dataset": "qa", "context": {"source": source, "negatives": 0}}
    job = JobSettings.model_validate(settings)
    desk = TrainingDesk(
        node_id="a",
        folder=folder / "training",
        datasets=Datasets(folder / "datasets"),
        library=Library(),  # type: ignore[arg-type]
        exchange=None,  # type: ignore[arg-type]
        process=None,  # type: ignore[arg-type]
        memory=memory,
    )
    request = Train(
        request_id=1,
        job_id=job_id,
        round_num=0,
        job=job.model_dump_json(),
        base_model="0" * 64,
        weights_sha256="0" * 64,
        ticket="",
        evaluate=False,
        train=True,
    )
    job_folder = folder / "training" / job_id
    desk._set_up(request, job_folder)
    return job_folder


def examples_in(job_folder: Path) -> list[str]:
    stored = msgspec.msgpack.decode((job_folder / "examples.msgpack").read_bytes(), type=JobExamples)
    return [
        passage for part in (stored.train, stored.validation, stored.held_out) for e in part for passage in e.passages
    ]


def test_examples_of_a_deleted_document_go_and_its_versions_are_named(tmp_path: Path) -> None:
    memory = memory_of(tmp_path, SECRET, OTHER, f"Before. {SECRET} After.", OTHER.replace("plant", "mill"))
    job_folder = prepare_job(tmp_path, memory)
    forgotten = memory.forget([SECRET])
    assert forgotten.datasets == {"qa": 2}
    assert forgotten.jobs == {"qa-1": 2}
    assert (forgotten.prompt_versions, forgotten.unknown_versions, forgotten.note) == (["qa-1"], [], NOTE)
    assert Datasets(tmp_path / "datasets").info("qa").num_examples == 2
    assert not any("Ann Berg" in text for text in examples_in(job_folder))
    (tmp_path / "qa.jsonl").unlink()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"rare fever" not in path.read_bytes(), path


def test_a_job_that_joined_a_passage_by_itself_is_named_when_its_examples_are_long_gone(tmp_path: Path) -> None:
    memory = memory_of(tmp_path, OTHER)
    job_folder = prepare_job(tmp_path, memory, source="retrieved")
    prepare_job(tmp_path, memory, "qa-2")
    (job_folder / "examples.msgpack").unlink()
    forgotten = memory.forget([SECRET])
    assert (forgotten.datasets, forgotten.jobs, forgotten.prompt_versions) == ({}, {}, ["qa-1"])


def test_a_job_from_before_this_was_remembered_is_said_to_be_unknown(tmp_path: Path) -> None:
    memory = memory_of(tmp_path, OTHER)
    (prepare_job(tmp_path, memory) / FILE_NAME).unlink()
    assert memory.forget([SECRET]).unknown_versions == ["qa-1"]


def test_a_data_set_of_nothing_else_goes_whole(tmp_path: Path) -> None:
    memory = memory_of(tmp_path, SECRET, SECRET + " Twice.")
    assert memory.forget([SECRET]).datasets == {"qa": 2}
    assert Datasets(tmp_path / "datasets").usable() == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (SECRET, True),
        (SECRET.upper().replace(" ", "\n"), True),
        ("treated for a rare fever", True),
        (OTHER, False),
        ("the end", False),
        ("for a rare cold", False),
        (" ".join(SECRET.split()[:15]) + " and went home again after that on a Tuesday", False),
    ],
)
def test_what_counts_as_text_of_a_document(text: str, *, found: bool) -> None:
    assert Traces([SECRET], 16).found_in(text) is found


def test_a_short_document_is_found_inside_a_long_example() -> None:
    assert Traces(["Ann has a rare fever"], 16).found_in(f"{OTHER} Ann has a rare fever. {OTHER}")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 40), max_size=30),
    st.lists(st.integers(0, 40), min_size=RUN + WINDOW - 1, max_size=40),
    st.lists(st.integers(0, 40), max_size=30),
    st.lists(st.integers(50, 90), max_size=30),
)
def test_sixteen_words_in_common_are_always_remembered(
    tmp_path_factory: pytest.TempPathFactory, before: list[int], common: list[int], after: list[int], other: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("job")

    def text(*parts: list[int]) -> str:
        return " ".join(f"w{number}" for part in parts for number in part)

    remember(folder, [text(before, common, after)])
    assert has_seen(folder, [text(other, common, other)])
    assert not has_seen(folder, [text(other)] if other else [])
