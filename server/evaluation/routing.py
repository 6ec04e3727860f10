"""`frag eval routing`: how often the silo with the answer is among the m that are asked, by noise of the profiles.

A simulation over real embeddings with the product's own counting, noise and choice, exploration included; nothing is
learned from answers, since none are written. Questions come in a shuffled order.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from frag.privacy.discrete_gaussian import discrete_gaussian
from frag.protocols import Embedder, FloatArray
from frag.routing import (
    ANCHOR_TEXTS,
    Chooser,
    affinities,
    noised,
    rho_of_publication,
    topic_counts,
    topic_shares,
)
from frag.types import Document
from retrievers.store import DocumentStore
from server.audit.routing import routing_hijack
from server.evaluation.datasets import Dataset, split_into_silos
from server.evaluation.run import Tick

_MAX_NUMBER = 4
"""Beyond it routing saves little in the federations that are usual."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingPlan:
    """`noise_sds`: 0 is the profile as it is. Noisy figures are means over `draws` publications."""

    dataset: Dataset
    num_silos: int
    noise_sds: Sequence[float]
    draws: int
    seed: int = 0


def evaluate_routing(plan: RoutingPlan, embedder: Embedder, tick: Tick) -> dict[str, Any]:
    """The report as JSON types: `recall` by σ and m, and the routing hijack at m = 2 by σ. Blocking."""
    silos = split_into_silos(plan.dataset, plan.num_silos, plan.seed)
    anchors = embedder.embed(ANCHOR_TEXTS)
    counts = {name: topic_counts(_units(documents, embedder, name, tick), anchors) for name, documents in silos.items()}
    holder = {document.document_id: name for name, documents in silos.items() for document in documents}
    questions = list(plan.dataset.questions)
    random.Random(plan.seed).shuffle(questions)  # noqa: S311 - a reproducible order, no secret
    right = [holder[question.document_id] for question in questions]
    vectors = embedder.embed([question.text for question in questions])
    affinity = np.stack([affinities(vector, anchors) for vector in vectors])
    rows = []
    for sd in plan.noise_sds:
        tick(f"noise {sd:g}", 0, 0)
        drawn = [_published(counts, sd) for _ in range(plan.draws if sd else 1)]
        rows.append(
            {
                "noise_sd": sd,
                "rho": round(rho_of_publication(sd), 6) if sd else None,
                "recall": _mean([_recalls(profiles, affinity, right, plan.seed) for profiles in drawn]),
                "hijack_top_2": routing_hijack(drawn[0], affinity, right, 2, plan.seed),
            }
        )
    return {
        "dataset": plan.dataset.name,
        "silos": {name: len(documents) for name, documents in silos.items()},
        "questions": len(right),
        "draws": plan.draws,
        "chance": {str(m): round(m / plan.num_silos, 4) for m in range(1, min(_MAX_NUMBER, plan.num_silos) + 1)},
        "noise": rows,
    }


def _units(documents: Sequence[Document], embedder: Embedder, name: str, tick: Tick) -> FloatArray:
    """Mean vectors as a node would count them: by chunks, from a store."""
    with (
        TemporaryDirectory(prefix="frag-routing-") as folder,
        DocumentStore.open(Path(folder), embedder) as store,
    ):
        store.ingest(documents, partial(tick, f"indexing {name}"))
        return np.stack(list(store.document_vectors().values()))


def _published(counts: Mapping[str, npt.NDArray[np.int64]], sd: float) -> dict[str, tuple[int, ...]]:
    draw = partial(discrete_gaussian, sd) if sd else lambda: 0
    return {name: noised(values, draw) for name, values in counts.items()}


def _recalls(
    profiles: Mapping[str, Sequence[int]], affinity: npt.NDArray[np.float64], right: Sequence[str], seed: int
) -> dict[str, float]:
    """Share of questions with the right node among the m that are asked, by m; questions come in their order."""
    shares = topic_shares(profiles)
    found = {}
    for number in range(1, min(_MAX_NUMBER, len(shares)) + 1):
        chooser = Chooser(random.Random(seed))  # noqa: S311 - a reproducible figure, no secret
        pairs = zip(affinity, right, strict=True)
        found[str(number)] = float(np.mean([node in chooser.choose(row, shares, number) for row, node in pairs]))
    return found


def _mean(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {m: round(float(np.mean([one[m] for one in found])), 4) for m in found[0]}


def print_routing(report: Mapping[str, Any]) -> None:
    """Tables for people."""
    from rich.table import Table

    from server.tables import print_table

    numbers = list(report["chance"])
    title = f"{report['dataset']}, {len(report['silos'])} silos, {report['questions']} questions: right silo asked"
    table = Table("noise σ", "ρ", *(f"top:{m}" for m in numbers), box=None, header_style="bold", title=title)
    table.add_row("chance", "", *(f"{report['chance'][m]:.2f}" for m in numbers))
    hijack = Table("noise σ", "attack", "attracted before", "after", "recall before", "after", box=None, title="hijack")
    for row in report["noise"]:
        rho = f"{row['rho']:.3f}" if row["rho"] else "–"
        table.add_row(f"{row['noise_sd']:g}", rho, *(f"{row['recall'][m]:.2f}" for m in numbers))
        for attack, figures in row["hijack_top_2"].items():
            cells = [figures[when][what] for what in ("attracted", "recall") for when in ("before", "after")]
            hijack.add_row(f"{row['noise_sd']:g}", attack, *(f"{cell:.2f}" for cell in cells))
    print_table(table)
    print_table(hijack)
