"""`frag node ingest`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from frag.policy_settings import CollectionSettings
    from frag.protocols import Embedder
    from frag.settings import NodeSettings
    from retrievers.store import DocumentStore, IngestReport
    from server.node.state import NodeFolder
    from server.node.training.forgetting import Forgotten


def ingest(
    folder: Annotated[Path, typer.Option("--folder", envvar="FRAG_NODE_FOLDER", help="State of the node.")] = Path(
        "node"
    ),
    *,
    collection: Annotated[str, typer.Option(help="Only this collection.")] = "",
    rebuild: Annotated[bool, typer.Option(help="Embed everything anew.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Bring the index up to date with the documents. Safe while the node runs; unchanged files cost nothing."""
    from retrievers.generations import CHANGE_LOCK
    from retrievers.locking import shared
    from server.node.reembedding_now import embedder_of_index
    from server.node.state import NodeFolder

    place = NodeFolder(folder)
    settings = place.settings()
    reports = {}
    with shared(place.index / CHANGE_LOCK):  # no change of embedder meanwhile
        embedder, said = embedder_of_index(place, settings, rebuild=rebuild)
        if said:
            typer.echo(said, err=True)
        for chosen in wanted_of(settings.collections, collection):
            report, forgotten = _ingest_one(place, settings, chosen, embedder, rebuild=rebuild, quiet=as_json)
            reports[chosen.name] = _as_dict(report, forgotten)
            if not as_json:
                _print_report(chosen.name, report, forgotten)
    if as_json:
        typer.echo(json.dumps(reports))


def wanted_of(collections: "Sequence[CollectionSettings]", name: str) -> "list[CollectionSettings]":
    """The collection of that name, or all. Raises NotFoundError."""
    from frag.errors import NotFoundError

    wanted = [c for c in collections if name in ("", c.name)]
    if not wanted:
        names = ", ".join(c.name for c in collections) or "none"
        raise NotFoundError(f"There is no collection {name!r}.", f"node.toml has: {names}.")
    return wanted


def _ingest_one(
    place: "NodeFolder",
    settings: "NodeSettings",
    collection: "CollectionSettings",
    embedder: "Embedder",
    *,
    rebuild: bool,
    quiet: bool,
) -> "tuple[IngestReport, Forgotten]":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from frag.errors import SettingsError
    from retrievers.generations import folder_of
    from retrievers.store import DocumentStore
    from server.node.datasets import Datasets
    from server.node.local.documents import Shelf
    from server.node.training.forgetting import TrainingMemory

    if not collection.folder.is_dir():
        raise SettingsError(
            f"The folder {collection.folder} of collection {collection.name} does not exist.",
            "Make it, or mend `folder` in node.toml.",
        )
    memory = TrainingMemory(Datasets(place.datasets), place.training, settings.policy.verbatim_limit_tokens)
    index, vectors_at = folder_of(place.index, collection.name), settings.index.qdrant_url
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        DocumentStore.open(index, embedder, vectors_at=vectors_at) as store,
        Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True) as bars,
    ):
        bar = bars.add_task(f"{collection.name}: embedding", total=None)
        report, forgotten = Shelf(collection, {collection.name: store}, memory).ingest_all(
            lambda done, total: bars.update(bar, completed=done, total=total), rebuild=rebuild
        )
        _say_who_is_nobody(collection, store)
        return report, forgotten


def _say_who_is_nobody(collection: "CollectionSettings", store: "DocumentStore") -> None:
    from server.node.private_answering import names_a_person

    nameless = sum(not names_a_person(collection, document.document_id) for document in store.list_documents())
    if collection.unit and nameless:
        typer.echo(f"{collection.name}: `unit` names nobody in {nameless} documents; each stands for itself", err=True)


def _as_dict(report: "IngestReport", forgotten: "Forgotten") -> dict[str, Any]:
    import msgspec

    return {
        "added": report.added,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "removed": report.removed,
        "num_chunks": report.num_chunks,
        "skipped": [{"path": s.path, "code": s.code, "reason": s.reason} for s in report.skipped],
        "training": msgspec.to_builtins(forgotten),
    }


def _print_report(name: str, report: "IngestReport", forgotten: "Forgotten") -> None:
    typer.echo(
        f"{name}: {report.added} added, {report.updated} updated, {report.unchanged} unchanged, "
        f"{report.removed} removed; {report.num_chunks} passages indexed in {report.seconds:.1f} s"
    )
    for skipped in report.skipped:
        typer.echo(f"  skipped {skipped.path}: {skipped.reason} [{skipped.code}]", err=True)
    for dataset, number in forgotten.datasets.items():
        typer.echo(f"{number} examples of the data set {dataset} held text that is gone, and went with it.", err=True)
    if forgotten.prompt_versions:
        names = ", ".join(forgotten.prompt_versions)
        typer.echo(f"Prompt versions that have seen it: {names}. {forgotten.note}", err=True)
