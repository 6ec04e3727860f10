"""`frag mcp`: the federation as tools of an assistant, over standard input and output."""

from pathlib import Path
from typing import Annotated

import typer


def mcp(
    url: Annotated[str, typer.Option(envvar="FRAG_URL", help="Address of the coordinator.")] = "http://127.0.0.1:8470",
    key: Annotated[str, typer.Option(envvar="FRAG_API_KEY", help="API key with scope `query`.")] = "",
    tls_ca: Annotated[Path | None, typer.Option(help="PEM file that signs the coordinator's certificate.")] = None,
) -> None:
    """Serve the tools `ask` and `list_nodes` to an MCP client, over standard input and output."""
    from server.mcp_tools import serve

    serve(url, key, tls_ca)
