"""What a node trains on fits the job's objective."""

import os
from pathlib import Path

import pytest

from frag.errors import DatasetError, ForbiddenError
from prompt_tuning.dataset import make_example
from prompt_tuning.job import JobSettings
from server.node.training.desk import TrainingDesk, fitting
from server.node.training.job_folders import forget_old_jobs
from server.wire.messages import Train

QUESTION = make_example(question="Who?", answers=("Ann",))
TEXT = make_example(text="Ann keeps the key.")


@pytest.mark.parametrize(("objective", "fits"), [("supervised", QUESTION), ("causal_lm", TEXT)])
def test_a_mixed_data_set_gives_what_the_objective_learns_from(objective: str, fits: object) -> None:
    job = JobSettings.model_validate({"name": "a", "dataset": "b", "objective": objective})
    assert fitting([QUESTION, TEXT], job) == [fits]
    other = TEXT if fits is QUESTION else QUESTION
    with pytest.raises(DatasetError, match=objective):
        fitting([other], job)


def test_large_files_of_old_jobs_are_forgotten(tmp_path: Path) -> None:
    for age, name in enumerate(("newest", "newer", "old", "oldest")):
        for file in ("weights-ab", "update-0-ab", "job.json", "summed-0"):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / file).write_bytes(b"x")
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    forget_old_jobs(tmp_path, tmp_path / "current")
    left = {name: sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("newer", "old")}
    assert left["newer"] == ["job.json", "summed-0", "update-0-ab", "weights-ab"]
    assert left["old"] == ["job.json", "summed-0"]


def desk_of(folder: Path, *modes: str) -> TrainingDesk:
    """Refuses before it asks any of its parts."""
    return TrainingDesk(
        node_id="a", folder=folder, datasets=None, library=None, exchange=None, process=None, aggregation=modes
    )  # type: ignore[arg-type]


def request_in(mode: str) -> Train:
    job = JobSettings.model_validate({"name": "a", "dataset": "b", "aggregation": {"mode": mode}})
    return Train(
        request_id=1,
        job_id="a",
        round_num=0,
        job=job.model_dump_json(),
        base_model="0" * 64,
        weights_sha256="0" * 64,
        ticket="",
        evaluate=False,
        train=True,
    )


async def test_a_mode_that_the_policy_does_not_allow_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ForbiddenError, match="plain"):
        await desk_of(tmp_path, "secagg").train(request_in("plain"), lambda _progress: None)


async def test_a_hidden_update_is_not_had_in_the_open_by_asking_again(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "job.json").write_text(request_in("secagg").job)
    with pytest.raises(ForbiddenError, match="began in the mode secagg"):
        await desk_of(tmp_path, "plain", "secagg").train(request_in("plain"), lambda _progress: None)
