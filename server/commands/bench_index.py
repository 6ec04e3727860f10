"""`frag bench index`."""

import json as json_module
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from server.commands.choices import Vectors


def index(
    vectors: Annotated[int, typer.Option(min=1000, help="Vectors of 384 dimensions.")] = 1_000_000,
    questions: Annotated[int, typer.Option(min=20, help="Searches, one at a time.")] = 500,
    contenders: Annotated[
        str, typer.Option(help="Comma-separated: frag, flat, hnswlib, usearch, ivf_sq8, ivf_flat, hnsw_sq8.")
    ] = "frag,flat,hnswlib,usearch",
    data: Annotated[
        Vectors, typer.Option(help="Made up in clusters, or embeddings of --passages with noise.")
    ] = "clustered",
    passages: Annotated[Path | None, typer.Option(help="Text file, a passage a line.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Of the others while they are built; searches have one.")] = 2,
    folder: Annotated[
        Path | None, typer.Option(help="For the files (5 GB a million); default: a temporary one.")
    ] = None,
    *,
    during_merge: Annotated[bool, typer.Option(help="Also search while segments are sealed and merged.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Time the index of passages beside FAISS Flat, hnswlib and usearch, each in a process of its own."""
    from frag.errors import BadRequestError
    from server.benchmark.contenders import NAMES
    from server.benchmark.index import IndexPlan, measure_index

    names = contenders.split(",")
    if unknown := set(names) - set(NAMES):
        raise BadRequestError(f"Unknown contenders {sorted(unknown)}.", f"Use some of {', '.join(NAMES)}.")
    plan = IndexPlan(
        vectors=vectors,
        questions=questions,
        data=data,
        passages=passages,
        threads=threads,
        during_merge=during_merge,
    )
    with tempfile.TemporaryDirectory(prefix="frag-bench-", dir=folder) as place:
        report = measure_index(plan, names, Path(place), lambda name: None if json else typer.echo(name, err=True))
    typer.echo(json_module.dumps(report)) if json else _print(names, report)


def _print(names: list[str], report: dict[str, Any]) -> None:
    titles = (
        "recall_at_10",
        "p50_ms",
        "p95_ms",
        "p99_ms",
        "peak_rss_mib",
        "adds_per_s",
        "cpu_p50_ms",
        "cpu_adds_per_s",
    )
    typer.echo(f"{report['vectors']:,} vectors, load {report['load_average']:.1f}")
    typer.echo(f"{'':10}" + "".join(f"{title:>15}" for title in titles))
    for name in names:
        typer.echo(f"{name:10}" + "".join(f"{report[name][title]:15g}" for title in titles))
    for doing in ("sealing", "merging"):
        if (p95 := report.get(f"p95_ms_while_{doing}")) is not None:
            typer.echo(f"p95 while {doing}: {p95:g} ms")
