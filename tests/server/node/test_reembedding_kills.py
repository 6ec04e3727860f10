"""A change of embedder is killed at random moments, again and again, while documents come and go."""

import random
from pathlib import Path

from frag.types import RetrievalMode
from retrievers.generations import coming_folders, folder_of, read_live
from retrievers.store import DocumentStore
from server.node.changeover import read_order
from tests.server.node.reembedding_kills import not_as_promised, prepare, run
from tests.server.node.reembedding_process import document, load


def test_a_change_of_embedder_survives_kills_at_any_moment(tmp_path: Path) -> None:
    prepare(tmp_path)
    moments, said = random.Random(6), []
    for _ in range(3):
        said += run(tmp_path, moments.uniform(0, 0.4))
    said += run(tmp_path, None)
    done = [int(words[1]) for words in said if words[0] == "ready"]
    assert done == sorted(set(done))  # what was committed counts
    assert ["changed"] in said
    assert not_as_promised(tmp_path, said) == 0

    live = read_live(tmp_path)
    assert live
    assert (live.model, live.fingerprint) == ("new", load("new").fingerprint)
    assert read_order(tmp_path) is None
    assert coming_folders(tmp_path, "notes") == []
    assert [path for path in (tmp_path / "notes").iterdir() if path.is_file()] == []  # the old files
    with DocumentStore.open(folder_of(tmp_path, "notes"), load("new")) as store:
        assert store.search(document("d7").text, 1, RetrievalMode.DENSE)[0].document_id == "d7"
