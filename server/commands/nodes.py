"""`frag nodes`: who can be asked."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from frag.client import NodeInfo


def nodes(
    url: Annotated[str, typer.Option(envvar="FRAG_URL", help="Address of the coordinator.")] = "http://127.0.0.1:8470",
    key: Annotated[str, typer.Option(envvar="FRAG_API_KEY", help="API key with scope `query` or `train`.")] = "",
    tls_ca: Annotated[Path | None, typer.Option(help="PEM file that signs the coordinator's certificate.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List the nodes of the federation, connected or not, and what their owners allow."""
    import msgspec

    found = asyncio.run(_ask(url, key, tls_ca))
    if as_json:
        typer.echo(json.dumps({"nodes": [msgspec.to_builtins(node) for node in found]}))
        return
    if not found:
        typer.echo("No node is enrolled. Make a token for the first one with `frag coordinator token NODE`.")
        return
    _print(found)


async def _ask(url: str, key: str, tls_ca: Path | None) -> "list[NodeInfo]":
    from frag.client import Client

    async with Client(url, key, tls_ca=tls_ca) as client:
        return await client.nodes()


def _print(found: "list[NodeInfo]") -> None:
    from server.tables import plain_table, print_table

    table = plain_table("node", "state", "answers in", "documents", "data sets", "prompt")
    for node in found:
        state = node.withholds.replace("_", " ") or "connected" if node.connected else "not connected"
        documents = "" if node.num_documents is None else f"{node.num_documents:,}"
        row = (node.node, state, ", ".join(node.answer_modes), documents, ", ".join(node.datasets))
        table.add_row(*row, node.prompt_version or ("the model as it is" if node.connected else ""))
    print_table(table)
