"""What is kept of a measurement, and that its command is one that the program takes."""

import json
import os
from pathlib import Path

import pytest

from benchmarks import record
from benchmarks.kinds import KINDS
from tests.docs.commands import Command, mistake


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


def test_a_measurement_is_run_and_kept_with_what_made_it(results: Path) -> None:
    record.measure("sealed", "a test")
    kept = json.loads((results / "sealed.json").read_text())
    assert kept["kind"] == "sealed"
    assert kept["command"] == "frag bench sealed"
    assert kept["result"]["seal_us"] > 0
    assert len(kept["load"]) == 2
    assert kept["machine"]["cores"] == os.cpu_count()
    assert kept["versions"]["torch"]


def test_what_was_written_before_keeps_its_date(results: Path, tmp_path: Path) -> None:
    written = tmp_path / "pii.json"
    written.write_text('{"num_texts": 3}')
    os.utime(written, (0, 86_400))
    record.take_over("pii", "pii", "frag eval pii", written, "")
    kept = json.loads((results / "pii.json").read_text())
    assert (kept["date"], kept["load"], kept["result"]) == ("1970-01-02", None, {"num_texts": 3})


def test_figures_stay_and_texts_go() -> None:
    settings = {"local": {"steps": 2, "batch_size": 8, "learning_rate": 0.003}, "rounds": {"number": 5}}
    settings |= {"method": {"kind": "lora", "place": "after"}, "strategy": {"kind": "fedavg"}, "update": {}}
    job = {**settings, "name": "n", "instruction": "x" * 200, "local": {**settings["local"], "warmup_steps": 4}}
    result = {"f1": 0.123456789, "curve": [[1, 2]], "notes": ["y" * 200], "job": job}
    assert record.figures(result) == {"f1": 0.12346, "job": settings}
    with pytest.raises(ValueError, match="200 characters"):
        record.figures({"answers": ["z" * 200]})


@pytest.mark.parametrize("name", record.MEASUREMENTS)
def test_the_program_takes_the_command(name: str) -> None:
    kind, command = record.MEASUREMENTS[name]
    assert kind in KINDS
    program, *words = command.split()
    assert program in {"frag", "python"}
    if program == "frag":
        assert not mistake(Command(name, 0, (*words, "--json"), is_mention=False))
