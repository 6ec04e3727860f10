"""Kills a node's answering in mode `dp` at random moments and looks whether any spend was lost.

`python benchmarks/ledger_kills.py [--kills 200] [--out results/ledger_kills.json]`

The process under test is the node's own stack (index, ledger, inference worker, `PrivateAnswering`) with a language
model that, the moment it is given passages, says aloud whose they are: from then on their budget must be spent on the
disk. Between two kills the documents are now and then deleted and ingested anew.
"""

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from frag.durable import write_atomic
from frag.policy_settings import CollectionSettings, DpSettings
from frag.privacy.ledger import Ledger
from frag.privacy.patterns import PatternRedactor
from frag.types import AnswerMode, Document, RetrievalMode
from retrievers.store import DocumentStore
from server.node.inference import InferenceWorker
from server.node.private_answering import PrivateAnswering, decoding_rule
from server.wire.messages import Ask
from tests.doubles import HashingEmbedder

NUM_UNITS = 400
SETTINGS = DpSettings(epsilon=8.0, questions=200, min_evidence=0.5)
RULE = decoding_rule(SETTINGS)
SUBJECTS = ["keys", "coats", "lamps", "boats", "maps", "bells", "ropes", "sails", "nets", "jars"]


def documents() -> list[Document]:
    return [
        Document(document_id=f"{n}.txt", text=f"The porter keeps {SUBJECTS[n % 10]} here, number {n}.")
        for n in range(NUM_UNITS)
    ]


class SayingModel:
    """Says on standard output whose passages it was given, before it writes."""

    name = "saying"

    def write_privately(self, _request, references, _rule, _is_cancelled, _adaptation):  # noqa: ANN001, ANN201
        numbers = [text.rstrip(".").rsplit(" ", 1)[1] for text in references]
        print(" ".join(["units", *numbers]), flush=True)
        return "said"


async def answer_for_ever(folder: Path, seed: int) -> None:
    """What is killed."""
    numbers = random.Random(seed)
    collection = CollectionSettings(name="notes", folder=folder)
    embedder = HashingEmbedder()
    with ThreadPoolExecutor(2) as workers, DocumentStore.open(folder / "notes", embedder) as store:
        if numbers.random() < 0.2:
            store.ingest([], remove_missing=True)
        store.ingest(documents(), remove_missing=True)
        async with InferenceWorker(SayingModel, 4, 0.0) as worker:
            answering = PrivateAnswering(
                node_id="alpha",
                settings=SETTINGS,
                collections=[collection],
                stores={"notes": store},
                embedder=embedder,
                worker=worker,
                redactor=PatternRedactor(("EMAIL_ADDRESS",)),
                ledger=Ledger.open(folder / "ledger.db"),
                workers=workers,
            )
            print("ready", flush=True)
            while True:
                await answering.answer(question(numbers.choice(SUBJECTS)))


def question(subject: str) -> Ask:
    return Ask(
        request_id=1,
        question=f"The porter keeps {subject} here",
        top_k=5,
        answer_mode=AnswerMode.DP,
        retrieval=RetrievalMode.DENSE,
        retrieve_only=False,
        deadline_s=10.0,
    )


def one_kill(folder: Path, used: Counter[str]) -> int:
    """Starts the node, kills it within half a second of its first charge; counts who was used."""
    arguments = [sys.executable, __file__, "--serve", str(folder), "--seed", str(random.randrange(2**32))]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    threading.Event().wait(random.uniform(0.0, 0.5))
    process.kill()
    lines = process.stdout.read().splitlines()
    process.wait()
    for line in lines:
        used.update(line.split()[1:])
    return len(lines)


def check(folder: Path, used: Counter[str]) -> tuple[int, int, float]:
    """Units whose use is not in the ledger (must be 0), those that can pay no more, and the wasted share of spends."""
    ledger = Ledger.open(folder / "ledger.db")
    spent = {n: ledger.spent_by(f"document:notes/{n}.txt") / RULE.rho for n in map(str, range(NUM_UNITS))}
    ledger.close()
    lost = sum(used[n] > round(spent[n], 6) for n in spent)
    total = sum(spent.values())
    exhausted = sum(uses + 1 > SETTINGS.questions for uses in spent.values())
    return lost, exhausted, 1 - sum(used.values()) / total if total else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--serve", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.serve:
        asyncio.run(answer_for_ever(chosen.serve, chosen.seed))
        return
    used: Counter[str] = Counter()
    num_answers = lost = exhausted = 0
    with tempfile.TemporaryDirectory() as name:
        for kill in range(chosen.kills):
            num_answers += one_kill(Path(name), used)
            lost, exhausted, wasted = check(Path(name), used)
            if lost:
                break
            print(f"\r{kill + 1} kills, {num_answers} answers begun", end="", file=sys.stderr)
    found = {
        "kills": kill + 1,
        "answers_begun": num_answers,
        "lost_spends": lost,
        "most_uses_of_a_unit": max(used.values(), default=0),
        "allowed_uses": SETTINGS.questions,
        "exhausted_units": exhausted,
        "wasted_share": round(wasted, 4),
    }
    print(json.dumps(found))
    if chosen.out:
        write_atomic(chosen.out, json.dumps(found, indent=2).encode())
    if lost or found["most_uses_of_a_unit"] > SETTINGS.questions:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
