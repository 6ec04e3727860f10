"""`frag eval privacy` on two documents, with the real models."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from frag.settings import ModelSettings
from server.cli import app

ARTICLES = [
    {
        "title": f"article {number}",
        "paragraphs": [
            {
                "context": context,
                "qas": [{"id": "1", "question": question, "answers": [{"text": answer, "answer_start": 0}]}],
            }
        ],
    }
    for number, (context, question, answer) in enumerate(
        [
            ("The porter Miriam keeps the keys of the house.", "Who keeps the keys of the house?", "Miriam"),
            ("Snow fell over the harbour on Tuesday evening.", "When did snow fall over the harbour?", "Tuesday"),
        ]
    )
]


def test_every_setting_is_measured_and_a_second_run_measures_none_again(
    real_models: ModelSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del real_models
    data = tmp_path / "two.json"
    data.write_text(json.dumps({"data": ARTICLES}))
    command = ["eval", "privacy", "--dataset", str(data), "--silos", "2", "--questions", "2", "--epsilon", "inf"]
    command += ["--units", "2", "--out", str(tmp_path), "--json"]
    report = json.loads(CliRunner().invoke(app, command).stdout)
    dp = ["dp unbounded", "dp unbounded, 2 units agree"]
    assert list(report["settings"]) == ["none", "scrub", "consensus", *dp]
    for row in report["settings"].values():
        assert 0 <= row["interval_95"][0] <= row["token_f1"] <= row["interval_95"][1] <= 1
        assert row["slowest_node_p50_s"] > 0
    assert report["settings"]["none"]["token_f1"] > 0
    assert (tmp_path / "privacy-two.png").read_bytes().startswith(b"\x89PNG")

    monkeypatch.setattr("server.evaluation.privacy._measure", None)
    assert json.loads(CliRunner().invoke(app, command).stdout) == report
