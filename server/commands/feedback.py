"""`frag feedback`: what an answer was worth, and what would have been right."""

import json
from pathlib import Path
from typing import Annotated

import typer


def feedback(
    query_id: Annotated[str, typer.Argument(help="The id that `frag ask` printed.")],
    url: Annotated[str, typer.Option(envvar="FRAG_URL", help="Address of the coordinator.")] = "http://127.0.0.1:8470",
    key: Annotated[str, typer.Option(envvar="FRAG_API_KEY", help="API key with scope `query`.")] = "",
    tls_ca: Annotated[Path | None, typer.Option(help="PEM file that signs the coordinator's certificate.")] = None,
    correction: Annotated[str, typer.Option(help="What would have been right; `-` reads it from standard input.")] = "",
    node: Annotated[
        list[str] | None, typer.Option(help="Tell this node; may be repeated. Default: those that contributed.")
    ] = None,
    roster: Annotated[
        Path | None, typer.Option(envvar="FRAG_ROSTER", help="Signed list of nodes: seal it here, for them alone.")
    ] = None,
    operator: Annotated[
        list[str] | None,
        typer.Option(envvar="FRAG_OPERATORS", help="With --roster: key of who must have signed it; may be repeated."),
    ] = None,
    asker_key: Annotated[
        Path | None, typer.Option(envvar="FRAG_ASKER_KEY", help="With --roster: your own key; see `frag asker`.")
    ] = None,
    *,
    up: Annotated[bool, typer.Option("--up", help="The answer was good.")] = False,
    down: Annotated[bool, typer.Option("--down", help="The answer was bad.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Rate an answer and correct it. Each node's operator decides what becomes of it; the coordinator keeps nothing."""
    import sys

    from frag.client import SyncClient
    from frag.feedback import Rating
    from frag.roster import pinned_nodes
    from server.sealed.trust import asker_key as own_key
    from server.sealed.trust import asker_key_file

    if up and down:
        raise typer.BadParameter("--up and --down exclude each other")
    if not (up or down or correction):
        raise typer.BadParameter("say something: --up, --down or --correction")
    text = sys.stdin.read() if correction == "-" else correction
    identities = pinned_nodes(roster, tuple(operator or ())) if roster else None
    signer = own_key(asker_key or asker_key_file()) if roster else None
    with SyncClient(url, key, tls_ca=tls_ca) as client:
        rating: Rating = 1 if up else -1 if down else 0
        said = client.feedback(query_id, rating, text.strip(), nodes=node, identities=identities, signer=signer)
    failed = {item.node: item.code for item in said.failed}
    if as_json:
        typer.echo(json.dumps({"taken": said.taken, "failed": failed}))
        return
    typer.echo(f"taken by {', '.join(said.taken)}")
    for name, code in failed.items():
        typer.echo(f"  not by {name}: {code}", err=True)
