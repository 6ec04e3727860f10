"""`frag bench fanout` prints one object with the documented keys. No timings are asserted: they are the machine's."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from server.benchmark import BenchmarkError
from server.benchmark.fanout import FanoutPlan, FanoutReport, measure_fanout

KEYS = {
    *("nodes", "payload_bytes", "num_queries", "concurrency", "p50_ms", "p95_ms", "p99_ms"),
    *("floor", "ratio_to_floor", "scrub_ms_per_answer", "idle_cpu_percent"),
}


def bench(*arguments: str, models: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "server.cli", "bench", *arguments],
        env={**os.environ, "FRAG_HOME": str(models)},
        capture_output=True,
        text=True,
        check=True,
        timeout=90,
    )


def test_json_is_one_object_with_the_documented_keys_and_nothing_else(tmp_path: Path) -> None:
    options = ("--nodes", "2", "--num-queries", "20", "--idle-seconds", "1", "--json")
    done = bench("fanout", *options, models=tmp_path)
    assert done.stdout.count("\n") == 1
    assert set(msgspec.json.decode(done.stdout)) == KEYS
    report = msgspec.json.decode(done.stdout, type=FanoutReport)
    assert (report.nodes, report.payload_bytes, report.num_queries) == (2, 8000, 20)
    assert 0 < report.p50_ms <= report.p95_ms <= report.p99_ms
    assert report.floor is not None
    assert report.ratio_to_floor == pytest.approx(report.p50_ms / report.floor.p50_ms, abs=0.01)
    assert report.idle_cpu_percent is not None
    assert report.scrub_ms_per_answer is None  # this FRAG_HOME has no models


def test_the_table_leaves_out_what_was_not_measured(tmp_path: Path) -> None:
    options = ("--nodes", "1", "--num-queries", "3", "--concurrency", "2", "--idle-seconds", "0", "--no-with-floor")
    done = bench("fanout", *options, models=tmp_path)
    assert "frag" in done.stdout
    assert "p99 ms" in done.stdout
    assert "bare HTTP" not in done.stdout
    assert "the floor" not in done.stdout
    assert "models are missing" in done.stdout


async def test_an_answer_that_is_not_whole_is_no_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that withholds is fast; such a run must not pass for one of 8 kB answers."""
    monkeypatch.setattr("server.benchmark.fanout._QUESTION", b'{"question": "Quick?", "answer_mode": "scrub"}')
    plan = FanoutPlan(nodes=1, payload_bytes=100, num_queries=1, with_floor=False, idle_s=0)
    with pytest.raises(BenchmarkError, match="0 of 1 nodes answered"):
        await measure_fanout(tmp_path, plan, lambda _stage, _share: None)
