"""`frag node`: enroll, ingest, run, status, and what its operator does to a running one."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from server.commands import node_feedback
from server.commands.node_check import check
from server.commands.node_privacy import privacy
from server.commands.node_reembed import reembed

if TYPE_CHECKING:
    from frag.policy_settings import CollectionSettings
    from frag.settings import NodeSettings
    from retrievers.store import DocumentStore, IngestReport
    from server.node.state import NodeFolder

app = typer.Typer(help="Set up and run a node beside its documents.", no_args_is_help=True)

Folder = Annotated[Path, typer.Option("--folder", envvar="FRAG_NODE_FOLDER", help="State of the node.")]
_DEFAULT = Path("node")
app.command()(privacy)
app.command()(check)
app.command()(reembed)
app.add_typer(node_feedback.app, name="feedback")


@app.command()
def enroll(
    token: Annotated[str, typer.Argument(help="The line that `frag coordinator token` printed.")],
    folder: Folder = _DEFAULT,
    tls_ca: Annotated[Path | None, typer.Option(help="PEM file that signs the coordinator's certificate.")] = None,
) -> None:
    """Exchange a one-time token for a place in the federation, and write a first node.toml."""
    from server.node.enroll import enroll as enroll_node
    from server.node.state import NodeFolder
    from server.wire.token import parse_token

    place = NodeFolder(folder)
    parsed = parse_token(token)
    asyncio.run(enroll_node(place, parsed, tls_ca))
    typer.echo(f"Enrolled as {parsed.node_id} at {parsed.url}. Policy: {place.settings_file}")
    typer.echo(f"Next: put documents into {folder / 'documents'}, then")
    typer.echo(f"      frag node ingest --folder {folder} && frag node run --folder {folder}")


@app.command()
def ingest(
    folder: Folder = _DEFAULT,
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
    wanted = _wanted(settings.collections, collection)
    reports = {}
    with shared(place.index / CHANGE_LOCK):  # no change of embedder meanwhile
        embedder, said = embedder_of_index(place, settings, rebuild=rebuild)
        if said:
            typer.echo(said, err=True)
        for chosen in wanted:
            reports[chosen.name] = _ingest_one(place, settings, chosen, embedder, rebuild=rebuild, quiet=as_json)
    if as_json:
        typer.echo(json.dumps({name: _as_dict(report) for name, report in reports.items()}))
        return
    for name, report in reports.items():
        _print_report(name, report)


def _wanted(collections: "Sequence[CollectionSettings]", name: str) -> "list[CollectionSettings]":
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
    embedder: object,
    *,
    rebuild: bool,
    quiet: bool,
) -> "IngestReport":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from frag.errors import SettingsError
    from retrievers.generations import folder_of
    from retrievers.store import DocumentStore

    if not collection.folder.is_dir():
        raise SettingsError(
            f"The folder {collection.folder} of collection {collection.name} does not exist.",
            "Make it, or mend `folder` in node.toml.",
        )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        DocumentStore.open(
            folder_of(place.index, collection.name),
            embedder,  # type: ignore[arg-type]
            vectors_at=settings.index.qdrant_url,
        ) as store,
        Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True) as bars,
    ):
        _forget_missing(place, settings, collection, store)
        bar = bars.add_task(f"{collection.name}: embedding", total=None)
        report = store.ingest(
            [collection.folder],
            progress=lambda done, total: bars.update(bar, completed=done, total=total),
            remove_missing=True,
            rebuild=rebuild,
        )
        _say_who_is_nobody(collection, store)
        return report


def _say_who_is_nobody(collection: "CollectionSettings", store: "DocumentStore") -> None:
    from server.node.private_answering import names_a_person

    nameless = sum(not names_a_person(collection, document.document_id) for document in store.list_documents())
    if collection.unit and nameless:
        typer.echo(f"{collection.name}: `unit` names nobody in {nameless} documents; each stands for itself", err=True)


def _forget_missing(
    place: "NodeFolder", settings: "NodeSettings", collection: "CollectionSettings", store: "DocumentStore"
) -> None:
    from server.node.datasets import Datasets
    from server.node.local.documents import Shelf
    from server.node.training.forgetting import TrainingMemory

    memory = TrainingMemory(Datasets(place.datasets), place.training, settings.policy.verbatim_limit_tokens)
    forgotten = Shelf(collection, {collection.name: store}, memory).forget_missing()
    for name, number in forgotten.datasets.items():
        typer.echo(f"{number} examples of the data set {name} held text of removed documents and are gone.", err=True)
    if forgotten.prompt_versions:
        names = ", ".join(forgotten.prompt_versions)
        typer.echo(f"Prompt versions that have seen them: {names}. {forgotten.note}", err=True)


def _as_dict(report: "IngestReport") -> dict[str, object]:
    return {
        "added": report.added,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "removed": report.removed,
        "num_chunks": report.num_chunks,
        "skipped": [{"path": s.path, "code": s.code, "reason": s.reason} for s in report.skipped],
    }


def _print_report(name: str, report: "IngestReport") -> None:
    typer.echo(
        f"{name}: {report.added} added, {report.updated} updated, {report.unchanged} unchanged, "
        f"{report.removed} removed; {report.num_chunks} passages indexed in {report.seconds:.1f} s"
    )
    for skipped in report.skipped:
        typer.echo(f"  skipped {skipped.path}: {skipped.reason} [{skipped.code}]", err=True)


@app.command()
def run(folder: Folder = _DEFAULT) -> None:
    """Connect to the coordinator and answer until SIGINT or SIGTERM."""
    from server.node.serve import serve
    from server.node.state import NodeFolder

    serve(NodeFolder(folder))


@app.command()
def key(folder: Folder = _DEFAULT) -> None:
    """Print the node's public key, for the roster. Tell it to the operators by another way than the coordinator."""
    from server.node.state import NodeFolder
    from server.wire.identity import public_bytes

    place = NodeFolder(folder)
    typer.echo(public_bytes(place.peer(place.settings()).key).hex())


@app.command()
def status(
    folder: Folder = _DEFAULT,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show identity, connection, index and policy. Exits 6 when the node is not connected."""
    from server.node.state import NodeFolder
    from server.node.status import describe, print_status

    described = describe(NodeFolder(folder))
    if as_json:
        typer.echo(json.dumps(described))
    else:
        print_status(described)
    if not described["connected"]:
        raise typer.Exit(6)


@app.command("stop-release")
def stop_release(
    folder: Folder = _DEFAULT,
    *,
    reason: Annotated[str, typer.Option(help="Why; kept on this node.")] = "",
) -> None:
    """Let nothing out from now on, also of what is being answered; it lasts until resume-release."""
    from server.node.operating import stop
    from server.node.state import NodeFolder

    typer.echo(stop(NodeFolder(folder), reason))


@app.command("resume-release")
def resume_release(folder: Folder = _DEFAULT) -> None:
    """Let answers leave again, as the policy says."""
    from server.node.operating import resume
    from server.node.state import NodeFolder

    typer.echo(resume(NodeFolder(folder)))


@app.command("open")
def open_page(folder: Folder = _DEFAULT) -> None:
    """Print the address of the node's own page, with the token that opens it. Keep it to yourself."""
    from server.node.operating import page_address
    from server.node.state import NodeFolder

    typer.echo(page_address(NodeFolder(folder)))


@app.command()
def forget(
    document_id: Annotated[str, typer.Argument(help="The document's id: its path in the collection's folder.")],
    folder: Folder = _DEFAULT,
    *,
    collection: Annotated[str, typer.Option(help="Where it is; needed when there are several.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Delete a document of the running node for good: file, index, and what training keeps of it."""
    from server.node.operating import forget as forget_document
    from server.node.operating import print_forgotten
    from server.node.state import NodeFolder

    place = NodeFolder(folder)
    wanted = _wanted(place.settings().collections, collection)
    if len(wanted) > 1:
        raise typer.BadParameter("there are several collections: say which with --collection")
    said = forget_document(place, wanted[0].name, document_id)
    if as_json:
        typer.echo(json.dumps(said))
    else:
        print_forgotten(said)


@app.command()
def compact(
    folder: Folder = _DEFAULT,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Rewrite the index files without anything that was deleted. Safe while the node runs."""
    from server.node.operating import compact as compact_indices
    from server.node.state import NodeFolder

    done = compact_indices(NodeFolder(folder))
    if as_json:
        typer.echo(json.dumps({name: {"before": b.bytes_before, "after": b.bytes_after} for name, b in done.items()}))
        return
    for name, sizes in done.items():
        typer.echo(f"{name}: {sizes.bytes_before} bytes before, {sizes.bytes_after} after")


@app.command()
def journal(
    folder: Folder = _DEFAULT,
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many entries, newest first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what left this node, and check the chain of the journal. Exits 7 when it is broken."""
    from server.node.operating import print_journal, read_journal
    from server.node.state import NodeFolder

    read = read_journal(NodeFolder(folder), limit)
    if as_json:
        typer.echo(json.dumps(read))
    else:
        print_journal(read)
    if read["verdict"]["broken_at"] is not None:
        raise typer.Exit(7)
