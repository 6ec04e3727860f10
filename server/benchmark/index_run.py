"""Run as a process: one contender over one file of vectors, so that the memory it takes is its own. Prints JSON."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from frag.protocols import FloatArray
from server.benchmark.contenders import Contender, Frag, make
from server.benchmark.index_growing import growing_p95
from server.benchmark.vectors import DIMENSION, read_blocks

TOP_K = 10


def resident_mib(field: str) -> float:
    """`VmRSS` now, or `VmHWM` at most since the process began."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


def run(name: str, folder: Path, threads: int, *, during_merge: bool) -> dict[str, Any]:
    """Adds, then searches one at a time."""
    count = (folder / "vectors").stat().st_size // (4 * DIMENSION)
    questions = np.fromfile(folder / "questions", dtype="<f4").reshape(-1, DIMENSION)
    truth = np.load(folder / "truth.npy")
    make(name, folder / f"{name}-warm", 1, 1)  # its library is part of the process without an index
    before = resident_mib("VmRSS")
    contender = make(name, folder / name, count, threads)
    began, busy = time.perf_counter(), time.process_time()
    for block in read_blocks(folder / "vectors"):
        contender.add(block)
    contender.finish()
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    times, cpu_times, found = timed(contender, questions)
    recall = float(np.mean([len(set(a.tolist()) & set(b.tolist())) / TOP_K for a, b in zip(found, truth, strict=True)]))
    report = {
        "recall_at_10": round(recall, 4),
        **percentiles(times),
        "peak_rss_mib": round(resident_mib("VmHWM") - before, 1),
        "adds_per_s": round(count / seconds, 1),
        "cpu_p50_ms": round(1000 * float(np.median(cpu_times)), 3),
        "cpu_adds_per_s": round(count / busy, 1),
    }
    if during_merge and isinstance(contender, Frag):
        report |= growing_p95(contender, folder / "vectors", questions)
    return report


def timed(contender: Contender, questions: FloatArray) -> tuple[list[float], list[float], list[Any]]:
    """Seconds, those of the processor, and rows of each question; the first few are asked twice."""
    times, cpu_times, found = [], [], []
    for question in questions[:20]:
        contender.search(question, TOP_K)
    for question in questions:
        began, busy = time.perf_counter(), time.thread_time()
        found.append(contender.search(question, TOP_K))
        cpu_times.append(time.thread_time() - busy)
        times.append(time.perf_counter() - began)
    return times, cpu_times, found


def percentiles(times: list[float]) -> dict[str, float]:
    """Milliseconds."""
    return {f"p{share}_ms": round(1000 * float(np.percentile(times, share)), 3) for share in (50, 95, 99)}


if __name__ == "__main__":
    chosen = json.loads(sys.argv[1])
    print(
        json.dumps(run(chosen["name"], Path(chosen["folder"]), chosen["threads"], during_merge=chosen["during_merge"]))
    )
