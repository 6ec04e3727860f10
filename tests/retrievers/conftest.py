from collections.abc import Iterator
from pathlib import Path

import pytest

from retrievers.store import DocumentStore
from tests.doubles import HashingEmbedder


@pytest.fixture
def embedder() -> HashingEmbedder:
    return HashingEmbedder()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the index goes."""
    return tmp_path / "index"


@pytest.fixture
def store(folder: Path, embedder: HashingEmbedder) -> Iterator[DocumentStore]:
    with DocumentStore.open(folder, embedder) as opened:
        yield opened
