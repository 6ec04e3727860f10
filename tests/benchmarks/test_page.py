"""The benchmark page is what the result files give, and nothing else."""

from copy import deepcopy
from pathlib import Path

import pytest

from benchmarks import plots
from benchmarks.kinds import KINDS
from benchmarks.page import DOCS, RESULTS, digest, load, of_kind, page, picture

RECORDS = load()


def test_the_page_is_what_the_result_files_give() -> None:
    assert (DOCS / "benchmarks.md").read_text() == page(RECORDS), "run `python -m benchmarks.page`"


def test_the_pictures_show_these_figures() -> None:
    shown = [kind for kind in plots.PICTURES if of_kind(RECORDS, kind)]
    assert shown
    stale = [kind for kind in shown if plots.drawn_from(picture(kind)) != digest(of_kind(RECORDS, kind))]
    assert stale == [], "run `python -m benchmarks.page`"


def test_another_figure_makes_another_page_and_another_picture() -> None:
    other = deepcopy(RECORDS)
    other["first-event"]["result"]["clients"]["openai"]["p95_ms"] = 48.75
    assert "48.75" not in page(RECORDS)
    assert "48.75" in page(other)
    before, after = of_kind(RECORDS, "first_event"), of_kind(other, "first_event")
    assert digest(before) != digest(after)


def test_every_kind_of_result_has_its_place() -> None:
    assert {record["kind"] for record in RECORDS.values()} <= set(KINDS)
    assert set(plots.PICTURES) <= set(KINDS)
    told = page(RECORDS)
    for name in RECORDS:
        assert f"(results/{name}.json)" in told


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_says_where_its_figures_come_from(name: str) -> None:
    record = RECORDS[name]
    assert set(record) == {"kind", "command", "date", "load", "note", "machine", "versions", "result"}
    assert record["command"].startswith(("frag ", "python "))
    assert record["machine"]["cores"]
    assert record["machine"]["cpu"]
    assert record["versions"]["frag"]
    assert (RESULTS / f"{name}.json").stat().st_size < 32_000


def test_the_same_figures_give_the_same_picture(tmp_path: Path) -> None:
    rows = {"recall": {"value": 0.5, "interval_95": [0.4, 0.7]}}
    results = {"pii": {"systems": {"thorough": {"held_out": rows}}}}
    for name in ("one.svg", "two.svg"):
        plots.draw("pii", results, tmp_path / name, "0" * 64)
    drawn = (tmp_path / "one.svg").read_text()
    assert drawn == (tmp_path / "two.svg").read_text()
    assert "thorough" in drawn
    assert plots.drawn_from(tmp_path / "one.svg") == "0" * 64


def test_a_result_holds_figures_and_no_text() -> None:
    for name, record in RECORDS.items():
        texts = [word for word in _texts(record["result"]) if len(word) > 100]
        assert texts == [], name


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _texts(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner)]
    return [value] if isinstance(value, str) else []
