"""The example notebook, cell by cell, over a federation that answers and trains, in a running loop as in Jupyter."""

import ast
import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.server.coordinator.scripted_training import ScriptedTrainer, federation, honest, join
from tests.server.in_process import InProcessFederation

__all__ = ["federation"]
NOTEBOOK = Path(__file__).parents[2] / "examples" / "ask_and_train.ipynb"


def run_cells(sources: list[str], names: dict[str, Any]) -> list[Any]:
    """The value of each cell's last expression, as a notebook shows it; None where there is none."""
    shown = []
    for source in sources:
        tree = ast.parse(source)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "cell", "exec"), names)
        shown.append(eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None)
    return shown


async def _in_a_loop(sources: list[str]) -> list[Any]:
    return run_cells(sources, {})


async def test_every_cell_runs(
    federation: InProcessFederation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FRAG_URL", federation.url)
    monkeypatch.setenv("FRAG_API_KEY", federation.api_key)
    for node in ("a", "b"):
        await join(federation, node, ScriptedTrainer(federation.url, honest(1.0)))
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] for cell in cells if cell["cell_type"] == "code"), "no answers are committed"
    values = await asyncio.to_thread(asyncio.run, _in_a_loop(sources))
    assert "<strong>yes</strong>" in values[1]._repr_html_()
    job = values[4]
    assert (job.state, len(job.rounds), job.losses()) == ("done", 2, [1.0, 1.0])
    assert values[5] is True
    printed = capsys.readouterr().out
    assert "Accepted()" in printed
    assert "round 2 of 2" in printed
