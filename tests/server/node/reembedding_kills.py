"""Kills a node's change of embedder at random moments, and looks whether it kept its word."""

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from retrievers.generations import folder_of, read_live
from retrievers.store import DocumentStore
from server.node.opening import open_indices
from tests.server.node.reembedding_process import NUM_FIRST, document, load

ROOT = Path(__file__).resolve().parents[3]
MOST_SECONDS = 0.6


def prepare(folder: Path) -> None:
    """An index of `NUM_FIRST` documents by the embedder `old`."""
    old = open_indices(folder, ["notes"], "old", load)
    old.stores["notes"].ingest([document(f"d{n}") for n in range(NUM_FIRST)])
    old.stores["notes"].close()


def run(folder: Path, kill_after_s: float | None, model: str = "new") -> list[list[str]]:
    """What the process said until it ended or was killed, so long after it had done more than before."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.server.node.reembedding_process", str(folder), model],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    said: list[list[str]] = []
    dying: threading.Timer | None = None
    with process, process.stdout as stdout:
        for line in stdout:
            said.append(line.split() or [""])
            has_advanced = said[-1][0] == "done" and int(said[-1][1]) > int(said[0][1])
            if has_advanced and kill_after_s is not None and dying is None:
                dying = threading.Timer(kill_after_s, process.kill)
                dying.start()
    if dying is not None:
        dying.cancel()
    assert kill_after_s is not None or process.returncode == 0
    return said


def not_as_promised(folder: Path, said: list[list[str]]) -> int:
    """Documents that were acknowledged and are not there, or are there after their deletion was (must be 0)."""
    live = read_live(folder)
    model = live.model if live else "old"
    there = {words[1] for words in said if words[0] == "put"} | {f"d{n}" for n in range(NUM_FIRST)}
    gone = {words[1] for words in said if words[0] == "del"}
    with DocumentStore.open(folder_of(folder, "notes"), load(model)) as store:
        held = {info.document_id for info in store.list_documents()}
    return len(there - held) + len(gone & held) + sum(words[0] == "lost" for words in said)


def play(
    folder: Path, kills: int, seed: int, show: Callable[[int, int], None] = lambda _kills, _changes: None
) -> dict[str, int]:
    """Counts of `kills` kills while one embedder after another comes in; ends early at the first broken word."""
    prepare(folder)
    moments = random.Random(seed)
    said: list[list[str]] = []
    kill, changes, wrong = 0, 0, 0
    while kill < kills and not wrong:
        heard = run(folder, moments.uniform(0, MOST_SECONDS), f"model{changes}")
        said += heard
        wrong = not_as_promised(folder, said)
        kill += 1
        live = read_live(folder)
        changes += live is not None and live.model == f"model{changes}"
        show(kill, changes)
    return {
        "kills": kill,
        "embedders_changed": changes,
        "changes_acknowledged": sum(words[0] in ("put", "del") for words in said),
        "documents_not_as_promised": wrong,
    }
