"""A change of embedder is killed at random moments, again and again, while documents come and go."""

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

from frag.types import RetrievalMode
from retrievers.generations import coming_folders, folder_of, read_live
from retrievers.store import DocumentStore
from server.node.changeover import read_order
from server.node.opening import open_indices
from tests.server.node.reembedding_process import NUM_FIRST, document, load

ROOT = Path(__file__).resolve().parents[3]


def run(folder: Path, kill_after_s: float | None) -> list[list[str]]:
    """What the process said until it ended or was killed, so long after it had done more than before."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.server.node.reembedding_process", str(folder), "new"],
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
    assert kill_after_s is not None or process.returncode == 0
    return said


def test_a_change_of_embedder_survives_kills_at_any_moment(tmp_path: Path) -> None:
    old = open_indices(tmp_path, ["notes"], "old", load)
    old.stores["notes"].ingest([document(f"d{n}") for n in range(NUM_FIRST)])
    old.stores["notes"].close()
    moments, said = random.Random(6), []
    for _ in range(3):
        said += run(tmp_path, moments.uniform(0, 0.4))
    said += run(tmp_path, None)
    done = [int(words[1]) for words in said if words[0] == "ready"]
    assert done == sorted(set(done))  # what was committed counts
    assert not [words for words in said if words[0] == "lost"]
    assert ["changed"] in said

    live = read_live(tmp_path)
    assert live
    assert (live.model, live.fingerprint) == ("new", load("new").fingerprint)
    assert read_order(tmp_path) is None
    assert coming_folders(tmp_path, "notes") == []
    assert [path for path in (tmp_path / "notes").iterdir() if path.is_file()] == []  # the old files
    with DocumentStore.open(folder_of(tmp_path, "notes"), load("new")) as store:
        there = {words[1] for words in said if words[0] == "put"} | {f"d{n}" for n in range(NUM_FIRST)}
        gone = {words[1] for words in said if words[0] == "del"}
        held = {info.document_id for info in store.list_documents()}
        assert there <= held
        assert not gone & held
        assert store.search(document("d7").text, 1, RetrievalMode.DENSE)[0].document_id == "d7"
