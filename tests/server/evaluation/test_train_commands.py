"""`frag eval train` and `frag eval methods` as their users meet them, on a tiny model and a few questions."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from frag.errors import BadRequestError
from frag.settings import ModelSettings
from server.cli import app
from server.evaluation.training.abstention import abstention
from server.evaluation.training.plan import make_contenders
from tests.tiny_model import write_tiny_model


def articles(number: int) -> list[dict[str, Any]]:
    return [
        {
            "title": f"house-{a}",
            "paragraphs": [
                {
                    "context": f"Porter {a}{p} keeps the key of door {p} in house {a}.",
                    "qas": [
                        {"question": f"Who keeps key {p} of {a}, {q}?", "answers": [{"text": f"Porter {a}{p}"}]}
                        for q in range(3)
                    ],
                }
                for p in range(4)
            ],
        }
        for a in range(number)
    ]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "houses.json").write_text(json.dumps({"data": articles(5)}))
    write_tiny_model(tmp_path / "model")
    return tmp_path


def evaluate(place: Path, command: str, *options: str) -> dict[str, Any]:
    arguments = ["eval", command, "--dataset", str(place / "houses.json"), "--nodes", "2", "--test-silos", "1"]
    arguments += ["--model", str(place / "model"), "--out", str(place / "out"), "--threads", "1", "--json", *options]
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None:
        raise result.exception
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def test_every_system_has_its_row_and_a_second_run_reads_the_first(place: Path, real_models: ModelSettings) -> None:
    del real_models
    options = ("--rounds", "2", "--steps", "2", "--seeds", "2")
    report = evaluate(place, "train", *options)
    systems = [report[name] for name in ("zero_shot", "best_template", "federated", "centralised")]
    for row in (*systems, *report["nodes"].values()):
        assert {"token_f1", "exact_match", "interval_95"} <= row.keys()
    assert set(report["nodes"]) == {"node-0", "node-1"}
    assert "retrieved" in report["federated"]
    assert {"zero_shot", "centralised", "node/node-0"} <= report["gains"].keys()
    assert (place / "out" / "train-houses-lora-after-fedavg.png").is_file()
    again = evaluate(place, "train", *options)
    assert again["seconds"] < report["seconds"]
    assert again | {"seconds": 0} == report | {"seconds": 0}


def test_methods_are_compared_within_one_budget(place: Path, real_models: ModelSettings) -> None:
    del real_models
    options = ("--budget-s", "3", "--methods", "lora:after:3e-3,prompt:before:1e-2", "--steps", "2")
    report = evaluate(place, "methods", *options)
    assert list(report["methods"]) == ["lora after", "prompt before"]
    for row in report["methods"].values():
        assert len(row["points"]) == 4
        assert [seconds for seconds, _ in row["points"]] == sorted(seconds for seconds, _ in row["points"])
        assert row["points"][-1][0] < 9
        assert row["num_steps"] >= 8
    assert (place / "out" / "methods-houses.png").is_file()


@pytest.mark.parametrize("text", ["lora", "lora:after", "lora:beside:1", "lora:after:much", "magic:after:1", ""])
def test_contenders_that_do_not_read_are_refused(text: str) -> None:
    with pytest.raises(BadRequestError):
        make_contenders(text)


def test_abstention_hand_counted() -> None:
    def response(abstained: str, answered: str) -> dict[str, Any]:
        return {
            "withheld": [{"node": node, "reason": "no_answer"} for node in abstained],
            "answered": [{"node": node} for node in answered],
        }

    # a holds both documents: b and c are right to abstain, a is wrong to
    found = abstention([response("bc", "a"), response("a", "bc"), None], ["a", "a", "a"])
    assert found == {"precision": 0.6667, "recall": 0.5, "num_abstained": 3, "num_elsewhere": 4}
    filtered = {"withheld": [{"node": "b", "reason": "pii"}], "answered": []}
    assert abstention([filtered], ["a"])["num_abstained"] == 0


def test_personal_prompts_are_compared_node_by_node(place: Path) -> None:
    (place / "streets.json").write_text(json.dumps({"data": articles(11)}))
    arguments = ["eval", "personal", "--dataset", str(place / "streets.json"), "--nodes", "2", "--rounds", "1"]
    arguments += ["--steps", "2", "--personal-steps", "3", "--model", str(place / "model"), "--threads", "1"]
    result = CliRunner().invoke(app, [*arguments, "--margin", "0", "--out", str(place / "personal.json"), "--json"])
    assert result.exception is None, result.output
    report = json.loads(result.stdout)
    assert report == json.loads((place / "personal.json").read_text())
    assert set(report["nodes"]) == {"node-0", "node-1"}
    for row in report["nodes"].values():
        saved = 1 - row["personal"]["loss"] / row["shared"]["loss"]
        assert row["gain"] == pytest.approx(saved, abs=1e-3)
        assert row["used"] == (row["gain"] > 0)
        assert row["num_train"] > 0
        assert row["num_held_out"] > 0
    served = [row["personal" if row["used"] else "shared"]["loss"] for row in report["nodes"].values()]
    assert report["mean"]["served"]["loss"] == pytest.approx(sum(served) / 2, abs=1e-3)
