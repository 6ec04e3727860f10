"""Several processes over one index: what one does the others see, and a killed one leaves the old or the new."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from frag.types import Document
from retrievers.store import DocumentStore, count_documents
from tests.doubles import HashingEmbedder
from tests.retrievers.ingest_process import NUM_DOCUMENTS, documents

ROOT = Path(__file__).resolve().parents[2]
PYTHONPATH = {**os.environ, "PYTHONPATH": str(ROOT)}


def start(folder, generation, seconds_per_text=0.0):
    command = [sys.executable, "-m", "tests.retrievers.ingest_process"]
    arguments = [str(folder), str(generation), str(seconds_per_text)]
    return subprocess.Popen([*command, *arguments], env=PYTHONPATH, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def finish(process):
    """The number of texts that it embedded."""
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return int(output.split()[-1])


def generation_of(folder):
    """The one generation that the store holds entirely, found by reading every chunk; -1 for an empty store."""
    with DocumentStore.open(folder, HashingEmbedder()) as store:
        if not store.count():
            return -1
        assert store.count() == store.count_chunks() == NUM_DOCUMENTS
        hits = store.search("about", NUM_DOCUMENTS)
        assert len(hits) == NUM_DOCUMENTS
        (generation,) = {hit.text.split()[0] for hit in hits}
        return int(generation.removeprefix("Generation"))


@pytest.mark.parametrize("kill", range(6))
def test_a_killed_ingest_leaves_the_old_or_the_new(tmp_path, kill):
    folder = tmp_path / "index"
    with DocumentStore.open(folder, HashingEmbedder()) as store:
        store.ingest(documents(0))
    process = start(folder, 1, 0.001)
    assert process.stdout.readline() == "ready\n"
    # from here an ingest takes about a second: opening and staging, three batches, publication
    time.sleep(random.Random(kill).uniform(0.2 * kill, 0.2 * (kill + 1)))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert generation_of(folder) in (0, 1)
    finish(start(folder, 1))
    assert generation_of(folder) == 1


def test_a_kill_in_the_very_publication_leaves_the_old(tmp_path):
    folder = tmp_path / "index"
    with DocumentStore.open(folder, HashingEmbedder()) as store:
        store.ingest(documents(0))
    # dies between the last statement of the publication and its COMMIT
    script = (
        "import os, sys; from retrievers.snapshot import LiveIndex\n"
        "LiveIndex.commit = lambda self, connection: os.kill(os.getpid(), 9)\n"
        "from tests.retrievers.ingest_process import main; main(*sys.argv[1:])"
    )
    command = [sys.executable, "-c", script, str(folder), "1", "0"]
    assert subprocess.run(command, env=PYTHONPATH, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    assert generation_of(folder) == 0
    assert finish(start(folder, 1)) == 0  # every embedding was kept
    assert generation_of(folder) == 1


def test_a_search_sees_what_another_process_added_and_deleted(tmp_path):
    folder = tmp_path / "index"
    with DocumentStore.open(folder, HashingEmbedder()) as store:
        assert store.search("topic5", 1) == []
        assert finish(start(folder, 0)) == NUM_DOCUMENTS
        assert store.search("topic5", 1)[0].document_id == "d005"
        script = (
            "import sys; from retrievers.store import DocumentStore; from tests.doubles import HashingEmbedder\n"
            "assert DocumentStore.open(sys.argv[1], HashingEmbedder()).delete(['d005']) == 1"
        )
        subprocess.run([sys.executable, "-c", script, str(folder)], env=PYTHONPATH, cwd=ROOT, check=True)
        assert "d005" not in [hit.document_id for hit in store.search("topic5", NUM_DOCUMENTS)]
        assert store.count() == NUM_DOCUMENTS - 1


def test_two_ingests_at_once_wait_for_each_other(tmp_path):
    folder = tmp_path / "index"
    processes = [start(folder, 0, 0.0005) for _ in range(2)]
    assert sorted(map(finish, processes)) == [0, NUM_DOCUMENTS]
    assert generation_of(folder) == 0


def test_deletions_go_on_beside_an_ingest_in_another_process(tmp_path):
    folder = tmp_path / "index"
    with DocumentStore.open(folder, HashingEmbedder()) as store:
        store.ingest([Document(document_id=f"own{n}", text=f"Own text {n}.") for n in range(20)])
        process = start(folder, 0, 0.001)
        assert process.stdout.readline() == "ready\n"
        slowest = 0.0
        for n in range(20):
            began = time.monotonic()
            assert store.delete([f"own{n}"]) + (process.poll() is not None) >= 1
            slowest = max(slowest, time.monotonic() - began)
        process.communicate(timeout=60)
        assert slowest < 10


def test_looking_at_an_index_by_the_way_does_not_cut_off_who_searches_it(tmp_path):
    folder = tmp_path / "index"
    with DocumentStore.open(folder, HashingEmbedder()) as store:
        for generation in range(3):
            assert store.search("about", 1) or not generation
            assert count_documents(folder) == store.count()
            # the last to close the database, if no lock says otherwise
            finish(start(folder, generation))
            assert store.search("about", 1)[0].text.startswith(f"Generation{generation}")
        assert store.delete(["d001"]) == 1
    assert count_documents(folder) == NUM_DOCUMENTS - 1
