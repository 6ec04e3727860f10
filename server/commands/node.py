"""`frag node`: enroll, ingest, run, status, and what its operator does to a running one."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from server.commands import node_feedback
from server.commands.node_check import check
from server.commands.node_ingest import ingest, wanted_of
from server.commands.node_privacy import privacy
from server.commands.node_reembed import reembed

app = typer.Typer(help="Set up and run a node beside its documents.", no_args_is_help=True)

Folder = Annotated[Path, typer.Option("--folder", envvar="FRAG_NODE_FOLDER", help="State of the node.")]
_DEFAULT = Path("node")
app.command()(privacy)
app.command()(ingest)
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
    wanted = wanted_of(place.settings().collections, collection)
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
