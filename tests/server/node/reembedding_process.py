"""Run as a process: `FOLDER MODEL`. A node's indices change over to MODEL while documents come and go.

Says `ready NUM` with the documents that are done already, then `done NUM` again and again, `put ID` and `del ID` as it
acknowledges them, `lost ID` where a search finds something wrong, `changed` when it searches with the new embedder.
"""

import asyncio
import itertools
import os
import sys
from pathlib import Path

from frag.types import Document, RetrievalMode
from retrievers.generations import coming_folders, folder_of, read_live
from retrievers.store import count_documents
from server.node.indices import LiveIndices
from server.node.opening import open_indices
from server.node.reembedding import Reembedding
from tests.doubles import HashingEmbedder

NUM_FIRST = 1000


def load(model: str) -> HashingEmbedder:
    return HashingEmbedder(1024, seed=model, seconds_per_text=0.0 if model == "old" else 0.0004)


def document(name: str) -> Document:
    return Document(document_id=name, text=f"The text of {name} tells of topic{name}.")


async def main(folder: Path, model: str) -> None:
    indices = LiveIndices(open_indices(folder, ["notes"], model, load))
    say("ready", str(num_done(folder, model)))
    running = asyncio.create_task(Reembedding(folder, model, indices, load, share=1.0).run())
    start = indices.stores["notes"].count()
    for number in itertools.count(start):
        await asyncio.to_thread(change, folder, indices, f"n{number}")
        say("done", str(num_done(folder, model)))
        await asyncio.sleep(0.02)  # what runs in the background has the least priority
        if indices.now.embedder.fingerprint == load(model).fingerprint and number > start + 5:
            break
    say("changed")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    indices.close()


def num_done(folder: Path, model: str) -> int:
    """Documents in the index to come, or in the new one."""
    live = read_live(folder)
    if live and live.model == model:
        return count_documents(folder_of(folder, "notes", live))
    return sum(count_documents(coming) for coming in coming_folders(folder, "notes"))


def change(folder: Path, indices: LiveIndices, name: str) -> None:
    with indices.writing(folder):
        indices.stores["notes"].ingest([document(name), document(f"{name}x")])
    say("put", name)
    with indices.writing(folder):
        indices.stores["notes"].delete([f"{name}x"])
    say("del", f"{name}x")
    with indices.using() as now:
        vector = now.embedder.embed([document(name).text])[0]
        found = {hit.document_id for hit in now.stores["notes"].search_vector(vector, "", 3, RetrievalMode.DENSE)}
    if name not in found or f"{name}x" in found:
        say("lost", name)


def say(*words: str) -> None:
    os.write(1, f"{' '.join(words)}\n".encode())  # whole, or not at all


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
