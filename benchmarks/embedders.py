"""Finds documents over six silos, three of which use another embedder: scores as they are against calibrated ones.

`python benchmarks/embedders.py DATASET [--silos 6] [--layers 0 1 3] [--out results/embedders.json]`

There is one built-in embedder. The others are made of it: its first layers alone, mean-pooled as before (with none,
the mean of its token embeddings). They are worse, and their cosines are distributed otherwise, which is the point.
Each silo is a real index, asked by cosine alone; what the silos cite is merged as coordinator and asker do it.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from frag.answers.comparable import comparable
from frag.durable import write_atomic
from frag.models import Kind, locate
from frag.protocols import FloatArray
from frag.types import AnswerMode, Citation, Document, NodeAnswer, RetrievalMode, Scale
from retrievers.embedding import SentenceEmbedder
from retrievers.scale import find_scale
from retrievers.store import DocumentStore
from server.evaluation.datasets import Dataset, LabelledQuestion, load_dataset, split_into_silos
from server.evaluation.measures import rank_documents, recalls

BUILT_IN = "all-minilm-l6-v2"
TOP_K = 20


class Silo:
    """One node's index, embedder and scale. `cited` are its sources by question."""

    def __init__(self, name: str, store: DocumentStore, embedder: SentenceEmbedder, scale: Scale | None) -> None:
        self.name, self.store, self.embedder, self.scale = name, store, embedder, scale
        self.cited: list[NodeAnswer] = []

    def ask(self, questions: Sequence[LabelledQuestion], vectors: FloatArray) -> None:
        """Looks up every question."""
        for question, vector in zip(questions, vectors, strict=True):
            hits = self.store.search_vector(vector, question.text, TOP_K, RetrievalMode.DENSE)
            citations = tuple(Citation(document_alias=hit.document_id, score=hit.score) for hit in hits)
            self.cited.append(
                NodeAnswer(
                    node_id=self.name,
                    mode=AnswerMode.NONE,
                    citations=citations,
                    embedder=self.embedder.fingerprint,
                    scale=self.scale,
                )
            )


def truncated(layers: int, folder: Path) -> Path:
    """The built-in embedder with its first `layers` layers alone."""
    from transformers import AutoModel

    source = locate(BUILT_IN, Kind.EMBEDDER)
    shutil.copytree(source, folder)
    (folder / "manifest.json").unlink(missing_ok=True)
    model = AutoModel.from_pretrained(source)
    model.encoder.layer = model.encoder.layer[:layers]
    model.config.num_hidden_layers = layers
    model.save_pretrained(folder)
    return folder


def searched(
    place: Path, dataset: Dataset, silos: Mapping[str, Sequence[Document]], embedder: SentenceEmbedder
) -> dict[str, Silo]:
    """Every silo indexed and asked with one embedder."""
    scale = find_scale(embedder)
    vectors = embedder.embed([question.text for question in dataset.questions])
    found = {}
    for name, documents in silos.items():
        with DocumentStore.open(place / name, embedder) as store:
            store.ingest(documents)
            found[name] = Silo(name, store, embedder, scale)
            found[name].ask(dataset.questions, vectors)
    return found


def merged(silos: Sequence[Silo], questions: Sequence[LabelledQuestion], *, calibrated: bool) -> dict[str, float]:
    """Recall of what all silos cite, by score."""
    rankings = []
    for number in range(len(questions)):
        answers = [silo.cited[number] for silo in silos]
        if calibrated:
            answers, _ = comparable(answers)
        cited = [(c.document_alias, c.score) for answer in answers for c in answer.citations]
        rankings.append(rank_documents(cited))
    return recalls(rankings, questions)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("dataset", type=Path)
    arguments.add_argument("--silos", type=int, default=6)
    arguments.add_argument("--layers", type=int, nargs="+", default=[0, 1, 3])
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--out", type=Path, default=Path("results/embedders.json"))
    given = arguments.parse_args()
    dataset = load_dataset(given.dataset)
    silos = split_into_silos(dataset, given.silos, 0)
    names = sorted(silos)
    with tempfile.TemporaryDirectory(prefix="frag-embedders-") as temporary:
        base = Path(temporary)
        own = SentenceEmbedder(locate(BUILT_IN, Kind.EMBEDDER), threads=given.threads)
        same = searched(base / "same", dataset, silos, own)
        report: dict[str, Any] = {
            "dataset": dataset.name,
            "num_questions": len(dataset.questions),
            "num_silos": len(silos),
            "all_built_in": merged([same[name] for name in names], dataset.questions, calibrated=False),
        }
        for layers in given.layers:
            embedder = SentenceEmbedder(truncated(layers, base / f"model-{layers}"), threads=given.threads)
            other = searched(base / f"other-{layers}", dataset, silos, embedder)
            mixed = [(other if number % 2 else same)[name] for number, name in enumerate(names)]
            report[f"first_{layers}_layers"] = {
                "all_of_it": merged([other[name] for name in names], dataset.questions, calibrated=False),
                "half_raw": merged(mixed, dataset.questions, calibrated=False),
                "half_calibrated": merged(mixed, dataset.questions, calibrated=True),
            }
            print(json.dumps({layers: report[f"first_{layers}_layers"]}), flush=True)
    write_atomic(given.out, json.dumps(report, indent=2).encode())
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
