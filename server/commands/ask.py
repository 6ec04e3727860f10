"""`frag ask`: one question, progress while nodes answer, then the answer and who gave it."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from server.commands.choices import Aggregation, Decoding, Mode
from server.commands.showing import seconds


def ask(
    question: Annotated[str, typer.Argument(help="The question.")],
    url: Annotated[str, typer.Option(envvar="FRAG_URL", help="Address of the coordinator.")] = "http://127.0.0.1:8470",
    key: Annotated[str, typer.Option(envvar="FRAG_API_KEY", help="API key with scope `query`.")] = "",
    tls_ca: Annotated[Path | None, typer.Option(help="PEM file that signs the coordinator's certificate.")] = None,
    node: Annotated[list[str] | None, typer.Option(help="Ask only this node; may be repeated.")] = None,
    top_k: Annotated[int, typer.Option(min=1, max=100, help="Passages that each node looks up.")] = 5,
    deadline: Annotated[float | None, typer.Option(help="Seconds to wait at most.", callback=seconds)] = None,
    min_nodes: Annotated[int, typer.Option(min=1, help="Nodes that must reply.")] = 1,
    mode: Annotated[Mode, typer.Option(help="What is done to an answer before it leaves its node.")] = "scrub",
    min_support: Annotated[int, typer.Option(min=2, help="Mode consensus: operators behind each statement.")] = 2,
    dp: Annotated[Decoding, typer.Option(help="Mode dp: by each node, or keywords over all nodes.")] = "decoding",
    candidate: Annotated[
        list[str] | None,
        typer.Option(help="With --sealed --dp keywords: a word that units may vote for; may be repeated."),
    ] = None,
    aggregation: Annotated[
        Aggregation | None, typer.Option(help="How answers are merged; default: the coordinator's.")
    ] = None,
    route: Annotated[str, typer.Option(help="all, or top:M: the M nodes whose topics fit best.")] = "all",
    roster: Annotated[
        Path | None, typer.Option(envvar="FRAG_ROSTER", help="With --sealed: the signed list of nodes.")
    ] = None,
    operator: Annotated[
        list[str] | None,
        typer.Option(envvar="FRAG_OPERATORS", help="With --sealed: key of who must have signed it; may be repeated."),
    ] = None,
    asker_key: Annotated[
        Path | None, typer.Option(envvar="FRAG_ASKER_KEY", help="With --sealed: your own key; see `frag asker`.")
    ] = None,
    *,
    sealed: Annotated[bool, typer.Option("--sealed", help="Let the coordinator read neither question nor answer.")] = (
        False
    ),
    trust_coordinator: Annotated[
        bool, typer.Option("--trust-coordinator", help="With --sealed: believe it about the nodes' keys.")
    ] = False,
    scrub_question: Annotated[
        bool, typer.Option(help="Mask identifiers, and names introduced as private, before nodes see the question.")
    ] = True,
    retrieve_only: Annotated[bool, typer.Option("--retrieve-only", help="Look up sources, write no answer.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the response as one JSON object.")] = False,
) -> None:
    """Ask the federation."""
    from frag.tls import tls_context
    from server.asking import print_answer, query

    if sealed:
        from frag.errors import BadRequestError
        from server.sealed.command import SealedOptions, ask_sealed_from_command

        if route != "all":
            raise BadRequestError("Routing is the coordinator's, which cannot read a sealed question.", "Use --node.")
        options = SealedOptions(
            url=url, api_key=key, tls=tls_context(url, tls_ca), nodes=node, top_k=top_k, deadline_s=deadline or 30.0,
            min_nodes=min_nodes, mode=mode, aggregation=aggregation or "best", retrieve_only=retrieve_only,
            roster=roster, operators=operator or [], asker_key=asker_key, trust_coordinator=trust_coordinator,
            scrub_question=scrub_question, dp=dp, candidates=candidate or [],
        )  # fmt: skip
        shown = ask_sealed_from_command(question, options)
        if as_json:
            typer.echo(json.dumps(shown))
        else:
            print_answer(shown)
        return

    if candidate:
        from frag.errors import BadRequestError

        raise BadRequestError("The coordinator chooses candidates itself.", "Leave --candidate out, or add --sealed.")
    body = {
        "question": question,
        "top_k": top_k,
        "deadline_s": deadline,
        "min_nodes": min_nodes,
        "nodes": node,
        "answer_mode": mode,
        "aggregation": aggregation,
        "min_support": min_support,
        "retrieve_only": retrieve_only,
        "route": route,
        "scrub_question": scrub_question,
        "dp": dp,
    }
    tls = tls_context(url, tls_ca)
    response = asyncio.run(query(url, key, body, tls, quiet=as_json))
    if as_json:
        typer.echo(json.dumps(response))
    else:
        print_answer(response)
