"""`frag eval rag` on a small made-up set, with real node processes and the real embedder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import frag
from frag.settings import ModelSettings

TOWNS = {
    "Rivers": {"Alba": "the Mirrel", "Corvin": "the Tessaly", "Dunmore": "the Oskar"},
    "Mayors": {"Alba": "Ilse Brandt", "Corvin": "Tomas Reyes", "Dunmore": "Wanda Okafor"},
}
SENTENCES = {
    "Rivers": ("The town of {} lies on the banks of {}.", "On which river does {} lie?"),
    "Mayors": ("The mayor of {} is {}.", "Who is mayor of {}?"),
}


def write_squad(file: Path) -> None:
    articles = []
    for title, facts in TOWNS.items():
        statement, question = SENTENCES[title]
        paragraphs = [
            {
                "context": statement.format(town, value),
                "qas": [{"question": question.format(town), "answers": [{"text": value}]}],
            }
            for town, value in facts.items()
        ]
        articles.append({"title": title, "paragraphs": paragraphs})
    file.write_text(json.dumps({"data": articles}))


@pytest.mark.timeout(180)
def test_retrieval_only_prints_one_object_with_the_documented_keys(tmp_path: Path, real_models: ModelSettings) -> None:
    write_squad(tmp_path / "towns.json")
    command = [sys.executable, "-m", "server.cli", "eval", "rag", "--dataset", str(tmp_path / "towns.json")]
    done = subprocess.run(
        [*command, "--silos", "2", "--retrieval-only", "--json", "--out", str(tmp_path / "out")],
        capture_output=True, text=True, check=False, timeout=170,
        env={**os.environ, "PYTHONPATH": str(Path(frag.__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert set(report["silos"]) == {"rivers-0", "mayors-1"}, "natural silos keep their names"
    rows = [report["federated"], report["pooled"], *report["silos"].values()]
    for row in rows:
        assert {"recall@1", "recall@5", "recall@10", "exact_match", "token_f1"} <= set(row)
        assert row["token_f1"] is None
    assert report["federated"]["recall@5"] == report["pooled"]["recall@5"] == 1.0
    assert sum(row["recall@5"] for row in report["silos"].values()) == pytest.approx(1.0)
    assert report["latency_s"]["p95"] >= report["latency_s"]["p50"] > 0
    assert report["wire_bytes"] > 1000
    assert (tmp_path / "out" / "rag-towns.png").stat().st_size > 5000
    assert json.loads((tmp_path / "out" / "rag-towns.json").read_text()) == report


def test_an_unknown_data_set_or_mode_is_said_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "server.cli", "eval", "rag", "--silos", "2", "--dataset"]
    environment = {**os.environ, "PYTHONPATH": str(Path(frag.__file__).parents[1])}
    for arguments in ([str(tmp_path / "no.json")], [str(tmp_path / "no.json"), "--answer-mode", "loud"]):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 2
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
