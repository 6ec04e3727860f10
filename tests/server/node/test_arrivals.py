"""Which examples are new to a run."""

import json
from pathlib import Path

import pytest

from frag.errors import DatasetError
from server.node.training.arrivals import Arrivals, heirs


def test_what_an_earlier_run_has_met_is_old_whoever_asks_again(tmp_path: Path) -> None:
    assert Arrivals(tmp_path).old("qa", "qa-1", ["a", "b"]) == set()
    assert Arrivals(tmp_path).old("qa", "qa-1", ["a", "b"]) == set()
    assert Arrivals(tmp_path).old("qa", "qa-2", ["a", "b", "c"]) == {"a", "b"}
    assert Arrivals(tmp_path).old("other", "other-1", ["a"]) == set()


def test_what_was_deleted_and_comes_back_is_new(tmp_path: Path) -> None:
    Arrivals(tmp_path).old("qa", "qa-1", ["a", "b"])
    Arrivals(tmp_path).old("qa", "qa-2", ["a"])
    assert Arrivals(tmp_path).old("qa", "qa-3", ["a", "b"]) == {"a"}


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "standing-qa.json").write_bytes(b"{")
    with pytest.raises(DatasetError, match=r"standing-qa\.json"):
        Arrivals(tmp_path).old("qa", "qa-1", ["a"])


def test_later_runs_inherit_what_earlier_ones_have_seen(tmp_path: Path) -> None:
    for run, series in {"qa-1": "qa", "qa-2": "qa", "qa-10": "qa", "legal-3": "legal", "plain-4": ""}.items():
        (tmp_path / run).mkdir()
        (tmp_path / run / "job.json").write_text(json.dumps({"standing": {"series": series} if series else None}))
    assert heirs({"qa-2", "plain-4"}, tmp_path) == {"qa-10"}
    assert heirs({"legal-3"}, tmp_path) == set()
