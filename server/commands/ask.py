"""`frag ask`: one question, progress while nodes answer, then the answer and who gave it."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer


def ask(
    question: Annotated[str, typer.Argument(help="The question.")],
    url: Annotated[str, typer.Option(envvar="FRAG_URL", help="Address of the coordinator.")] = "http://127.0.0.1:8470",
    key: Annotated[str, typer.Option(envvar="FRAG_API_KEY", help="API key with scope `query`.")] = "",
    tls_ca: Annotated[Path | None, typer.Option(help="PEM file that signs the coordinator's certificate.")] = None,
    node: Annotated[list[str] | None, typer.Option(help="Ask only this node; may be repeated.")] = None,
    top_k: Annotated[int, typer.Option(min=1, max=100, help="Passages that each node looks up.")] = 5,
    deadline: Annotated[float | None, typer.Option(help="Seconds to wait at most.")] = None,
    min_nodes: Annotated[int, typer.Option(min=1, help="Nodes that must reply.")] = 1,
    mode: Annotated[str, typer.Option(help="Answer mode: scrub, none or dp.")] = "scrub",
    dp: Annotated[str, typer.Option(help="Mode dp: decoding, or keywords over all nodes.")] = "decoding",
    aggregation: Annotated[
        str | None, typer.Option(help="best, vote, medoid or synthesize; default: the coordinator's.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the response as one JSON object.")] = False,
) -> None:
    """Ask the federation."""
    from server.asking import print_answer, query
    from server.node.state import tls_context

    body = {
        "question": question,
        "top_k": top_k,
        "deadline_s": deadline,
        "min_nodes": min_nodes,
        "nodes": node,
        "answer_mode": mode,
        "aggregation": aggregation,
        "dp": dp,
    }
    tls = tls_context(url, tls_ca)
    response = asyncio.run(query(url, key, body, tls, quiet=as_json))
    if as_json:
        typer.echo(json.dumps(response))
    else:
        print_answer(response)
