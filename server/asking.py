"""The asker's side of `POST /v1/query`: events while nodes answer, then the answer, printed for people."""

import ssl
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from frag.answers.comparable import COSINE
from frag.client.connection import Connection
from frag.errors import CoordinatorError, ProtocolError
from frag.wording import why_nothing
from server.tables import plain_table, print_table


async def query(
    url: str, key: str, body: Mapping[str, Any], tls: ssl.SSLContext | None, *, quiet: bool
) -> dict[str, Any]:
    """Asks and returns the response; shows on standard error which node has answered, unless `quiet`.

    Raises:
        CoordinatorError: The coordinator refused or failed, with its own reason.
        UnreachableError: Nobody answers at `url`.
    """
    console = Console(stderr=True, quiet=quiet)
    waiting: dict[str, str] = {}
    content = {name: value for name, value in body.items() if value is not None}
    async with Connection(url, key, tls) as connection, aclosing(connection.events("/v1/query", content)) as events:
        with console.status("Asking the federation …") as line:
            async for name, payload in events:
                if name == "routed":
                    waiting = dict.fromkeys(payload["nodes"], "…")
                elif name == "node":
                    waiting[payload["node"]] = payload["outcome"]
                elif name == "error":
                    raise CoordinatorError(payload)
                elif name == "done":
                    return payload
                line.update("  ".join(f"{node} {outcome}" for node, outcome in waiting.items()))
    raise ProtocolError("The coordinator ended the stream without an answer.", "Ask again; see its log.")


def _print_text(console: Console, response: Mapping[str, Any]) -> None:
    nothing = why_nothing([item["reason"] for item in response["withheld"]], len(response["failed"]))
    if response["answer_mode"] == "consensus":
        nothing = "No statement has enough support."
    elif response["answered"] and not any(item["answer"] for item in response["answered"]):
        nothing = "Only sources were looked up."
    console.print(Panel(Text(response["answer"] or nothing), title="Answer", title_align="left"))
    for line in (response["note"], f"Mode {response['answer_mode']}: {response['promise']}"):
        if line:
            console.print(Text(line), style="dim")


def print_answer(response: Mapping[str, Any]) -> None:
    """The answer in a frame, what to know of it, then a line for each node."""
    console = Console()
    _print_text(console, response)
    if "keywords" in response:
        _print_keywords(console, response)
    table = plain_table("node", "outcome", "score", "redacted", "sources")
    for item in response["answered"]:
        table.add_row(
            item["node"],
            "contributed" if item["contributed"] else "answered",
            f"{item['score']:.2f}",
            ", ".join(f"{count} {kind}" for kind, count in item["redactions"].items()) or "–",
            ", ".join(citation["document"] for citation in item["citations"][:3]) or "–",
        )
    for item in response["withheld"]:
        table.add_row(item["node"], f"withheld: {item['reason']}", "", "", "")
    for item in response["failed"]:
        table.add_row(item["node"], f"failed: {item['code']}", "", "", "")
    print_table(table)
    if "scores" in response and response["scores"] != COSINE:
        console.print(f"scores are {response['scores']}", style="dim")
    if masked := response["question"]["masked"]:
        counts = ", ".join(f"{count} {kind}" for kind, count in masked.items())
        console.print(f"masked in the question before nodes saw it: {counts}", style="dim")
    if response["not_asked"]:
        console.print(f"not asked: {', '.join(response['not_asked'])}", style="dim")
    timings = response["timings"]
    versions = sorted({item["prompt_version"] for item in response["answered"] if item["prompt_version"]})
    prompts = f", prompt {' and '.join(versions)}" if versions else ""
    console.print(
        f"{response['aggregation']}, mode {response['answer_mode']}, {timings['total_ms']:.0f} ms{prompts}",
        style="dim",
    )
    if response["answer"] and response["answer_mode"] != "dp":
        console.print(
            f'was it right? frag feedback {response["query_id"]} --up, or --down --correction "…"',
            style="dim",
            soft_wrap=True,
        )


def _print_keywords(console: Console, response: Mapping[str, Any]) -> None:
    found = ", ".join(f"{item['word']} {item['votes']:.0f}" for item in response["keywords"]) or "none"
    console.print(
        f"Keywords by noisy votes (± {response['noise_deviation']:.1f}): {found}; about {response['noisy_count']:.0f} "
        "units voted."
    )
