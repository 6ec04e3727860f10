"""`frag bench index`: the product's index beside others, each in a process of its own over the same vectors."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from frag.errors import BadRequestError
from frag.protocols import FloatArray
from server.benchmark.vectors import about_passages, clustered, nearest

_HOUR_S = 3600.0


class IndexPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is measured. `passages` is a text file, a passage a line, for data `passages`."""

    vectors: int = 1_000_000
    questions: int = 500
    data: Literal["clustered", "passages"] = "clustered"
    passages: Path | None = None
    threads: int = 1
    during_merge: bool = False


def measure_index(plan: IndexPlan, names: Iterable[str], folder: Path, show: Callable[[str], None]) -> dict[str, Any]:
    """Figures of each contender by name; those of `frag` also at the top. Files go to `folder`.

    Raises:
        BadRequestError: A contender's library is missing, or it failed.
    """
    show("making vectors")
    _write(plan, folder)
    load = os.getloadavg()[0]
    rows: dict[str, Any] = {}
    for name in names:
        show(name)
        rows[name] = _run(plan, name, folder)
    top = rows.get("frag", {})
    return {**top, "vectors": plan.vectors, "data": plan.data, "threads": plan.threads, "load_average": load, **rows}


def _write(plan: IndexPlan, folder: Path) -> None:
    with (folder / "vectors").open("wb") as file:
        for block in _blocks(plan, plan.vectors, seed=1):
            file.write(block.tobytes())
    questions = np.concatenate(list(_blocks(plan, plan.questions, seed=2)))
    (folder / "questions").write_bytes(questions.tobytes())
    np.save(folder / "truth.npy", nearest(folder / "vectors", questions, 10))


def _blocks(plan: IndexPlan, count: int, seed: int) -> Iterator[FloatArray]:
    if plan.data == "clustered":
        return clustered(count, seed)
    return about_passages(_passages(plan), count, seed)


def _passages(plan: IndexPlan) -> FloatArray:
    from frag.settings import ModelSettings
    from server.node.assembly import load_embedder

    if plan.passages is None:
        raise BadRequestError("Data `passages` needs passages.", "Name a text file with --passages, a passage a line.")
    lines = [line for line in plan.passages.read_text().splitlines() if line.strip()]
    return load_embedder(ModelSettings(threads=plan.threads)).embed(lines)


def _run(plan: IndexPlan, name: str, folder: Path) -> dict[str, Any]:
    (folder / name).mkdir(exist_ok=True)
    order = {"name": name, "folder": str(folder), "threads": plan.threads, "during_merge": plan.during_merge}
    done = subprocess.run(
        [sys.executable, "-m", "server.benchmark.index_run", json.dumps(order)],
        capture_output=True,
        text=True,
        timeout=_HOUR_S,
        check=False,
    )
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["it was killed"])[-1]
        raise BadRequestError(f"{name} failed: {why}.", f"`pip install {name}`, or leave it out with --contenders.")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures
