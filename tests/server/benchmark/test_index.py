"""The benchmark of indices asks real ones, each in a process of its own."""

import json
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from server.benchmark.vectors import clustered, nearest
from server.cli import app


def test_exact_indices_find_everything(tmp_path: Path) -> None:
    arguments = ["bench", "index", "--vectors", "1000", "--questions", "20", "--contenders", "frag,flat", "--json"]
    done = CliRunner().invoke(app, [*arguments, "--folder", str(tmp_path)])
    report = json.loads(done.stdout)
    for figures in (report, report["frag"], report["flat"]):
        assert figures["recall_at_10"] == 1.0
        assert 0 < figures["p50_ms"] <= figures["p99_ms"]
        assert figures["peak_rss_mib"] > 0
        assert figures["adds_per_s"] > 0
    assert list(tmp_path.iterdir()) == []


def test_the_truth_is_what_a_full_comparison_gives(tmp_path: Path) -> None:
    vectors = np.concatenate(list(clustered(300, 1)))
    (tmp_path / "vectors").write_bytes(vectors.tobytes())
    assert nearest(tmp_path / "vectors", vectors[:5], 3)[:, 0].tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_an_unknown_contender_is_named() -> None:
    done = CliRunner().invoke(app, ["bench", "index", "--contenders", "frag,abacus"])
    assert done.exit_code != 0
    assert "abacus" in str(done.exception)
