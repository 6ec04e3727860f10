"""Run as a process: `ingest_process.py INDEX GENERATION SECONDS_PER_TEXT` ingests one generation of documents."""

import sys
from pathlib import Path

from frag.types import Document
from retrievers.store import DocumentStore
from tests.doubles import HashingEmbedder

NUM_DOCUMENTS = 700


def documents(generation: int) -> list[Document]:
    """The same ids in every generation, other texts."""
    return [
        Document(document_id=f"d{n:03}", text=f"Generation{generation} of document{n} about topic{n}.")
        for n in range(NUM_DOCUMENTS)
    ]


def main(index: str, generation: str, seconds_per_text: str) -> None:
    print("ready", flush=True)
    with DocumentStore.open(Path(index), HashingEmbedder(seconds_per_text=float(seconds_per_text))) as store:
        print(store.ingest(documents(int(generation)), remove_missing=True).num_embedded, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
