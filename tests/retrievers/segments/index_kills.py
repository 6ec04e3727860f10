"""A process that changes an index and is killed, and what looks whether the index kept its word.

The process adds, changes and deletes documents, compacts now and then, and seals and merges segments all the while,
with a null embedder. It says through a pipe what it is about to do and what was acknowledged.
"""

import multiprocessing
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from frag.types import Document, RetrievalMode
from retrievers.segments.choosing import Pace
from retrievers.store import DocumentStore
from tests.doubles import HashingEmbedder

PACE = Pace(seal_at=30, block=60, grace_s=0.0)
MOST_SECONDS = 0.8


@dataclass
class Word:
    """What the killed processes promised. `open`: documents whose change was under way at a kill; either is right."""

    texts: dict[str, str] = field(default_factory=dict)
    open: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)
    num_acknowledged: int = 0

    def begin(self, names: list[str], text: str | None) -> None:
        self.open = {name: (self.texts.get(name), text_of(name, text)) for name in names}

    def keep(self) -> None:
        """What was begun is acknowledged."""
        for name, (_, text) in self.open.items():
            self._set(name, text)
        self.open = {}
        self.num_acknowledged += 1

    def settle(self, held: dict[str, str]) -> int:
        """Compares with what is held; returns how many documents are not as promised."""
        wrong = 0
        for name, either in self.open.items():
            wrong += held.get(name) not in either
            self._set(name, held.get(name))
        self.open = {}
        return wrong + sum(held.get(name) != self.texts.get(name) for name in held.keys() | self.texts.keys())

    def _set(self, name: str, text: str | None) -> None:
        if text is None:
            self.texts.pop(name, None)
        else:
            self.texts[name] = text


def text_of(name: str, text: str | None) -> str | None:
    return None if text is None else f"{text} of {name}"


def change_for_ever(folder: Path, seed: int, line: Connection) -> None:
    """What is killed."""
    numbers = random.Random(seed)
    with DocumentStore.open(folder, HashingEmbedder(), pace=PACE) as store:
        line.send(("ready", [], None))
        while True:
            names = [f"d{numbers.randrange(400)}" for _ in range(numbers.randint(1, 40))]
            kind = numbers.random()
            if kind < 0.65:
                text = f"Text{numbers.randrange(10**9)}"
                line.send(("begin", names, text))
                store.ingest([Document(document_id=name, text=f"{text} of {name}") for name in sorted(set(names))])
            elif kind < 0.95:
                line.send(("begin", names[:15], None))
                store.delete(names[:15])
            else:
                line.send(("begin", [], None))
                store.compact()
            line.send(("done", [], None))


def one_kill(folder: Path, seed: int, word: Word) -> None:
    """Starts the process, kills it within a second of its start, and hears what it said."""
    processes = multiprocessing.get_context("forkserver")
    ours, theirs = processes.Pipe(duplex=False)
    process = processes.Process(target=change_for_ever, args=(folder, seed, theirs))
    process.start()
    theirs.close()
    if ours.poll(60):
        ours.recv()
    threading.Event().wait(random.Random(seed).uniform(0.0, MOST_SECONDS))
    process.kill()
    process.join()
    while ours.poll(0):
        try:
            kind, names, text = ours.recv()
        except EOFError:
            break
        word.keep() if kind == "done" else word.begin(names, text)
    ours.close()


def check(folder: Path, word: Word) -> int:
    """Documents that are not as promised, in the table or in a search of everything (must be 0)."""
    with DocumentStore.open(folder, HashingEmbedder(), pace=Pace()) as store:
        held = dict(
            zip([info.document_id for info in store.list_documents()], store.texts(names_of(store)), strict=True)
        )
        hits = store.search("Text of", 1000, RetrievalMode.DENSE)
        found = {hit.document_id: hit.text for hit in hits}
    return word.settle(held) + len(found.items() ^ held.items())


def names_of(store: DocumentStore) -> list[str]:
    return [info.document_id for info in store.list_documents()]


def play(
    folder: Path, kills: int, seed: int, show: Callable[[int, int], None] = lambda _kills, _changes: None
) -> dict[str, int]:
    """Counts of `kills` cycles; ends early at the first that broke the word."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(["retrievers.store", "faiss", "tests.doubles"])
    word, wrong, kill, most_segments = Word(), 0, 0, 0
    while kill < kills and not wrong:
        one_kill(folder, seed + kill, word)
        wrong = check(folder, word)
        kill += 1
        most_segments = max(most_segments, len(list((folder / "segments").glob("*.segment"))))
        show(kill, word.num_acknowledged)
    return {
        "kills": kill,
        "changes_acknowledged": word.num_acknowledged,
        "documents_not_as_promised": wrong,
        "documents_at_the_end": len(word.texts),
        "most_segment_files": most_segments,
    }
