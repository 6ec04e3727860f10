"""The asker's side of `POST /v1/query`: events while nodes answer, then the answer, printed for people."""

import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import msgspec
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from frag.errors import FragError, ProtocolError, UnreachableError

Event = tuple[str, dict[str, Any]]
_MENDS = {
    "not_authenticated": "Give a key in force with --key, or in FRAG_API_KEY.",
    "not_permitted": "Make a key that has it with `frag coordinator key add LABEL --scope SCOPE`.",
}
"""For whoever typed a command; the coordinator's own mends speak to programs."""


class CoordinatorError(FragError):
    """A problem document that the coordinator sent, with its own code and mend."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        self.code = str(problem.get("code", "internal"))
        # the coordinator speaks to programs; whoever reads this typed a command
        mend = _MENDS.get(self.code) or str(problem.get("mend", "")).replace("`GET /v1/jobs`", "`frag jobs list`")
        super().__init__(str(problem.get("detail", "")), mend)
        status = int(problem.get("status", 500))
        self.exit_code = {401: 5, 403: 5, 429: 6, 503: 6}.get(status, 2 if status < 500 else 1)


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
    with console.status("Asking the federation …") as line:
        async for name, payload in _events(url, key, body, tls):
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


async def _events(url: str, key: str, body: Mapping[str, Any], tls: ssl.SSLContext | None) -> AsyncIterator[Event]:
    headers = {"Accept": "text/event-stream", "Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    content = {name: value for name, value in body.items() if value is not None}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(
                f"{url}/v1/query", data=msgspec.json.encode(content), headers=headers, ssl=tls or True
            ) as answer,
        ):
            if answer.status >= 400:
                raise CoordinatorError(msgspec.json.decode(await answer.read(), type=dict[str, Any]))
            async for event in _parse(answer.content):
                yield event
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise UnreachableError(
            f"No coordinator answers at {url}: {error or type(error).__name__}.",
            "Check that it runs and the address (--url or FRAG_URL).",
        ) from error


async def _parse(stream: aiohttp.StreamReader) -> AsyncIterator[Event]:
    name = ""
    pending = b""
    async for piece in stream.iter_any():
        pending += piece
        while b"\n" in pending:
            line, pending = pending.split(b"\n", 1)
            if line.startswith(b"event: "):
                name = line[7:].decode()
            elif line.startswith(b"data: "):
                yield name, msgspec.json.decode(line[6:], type=dict[str, Any])


def _print_text(console: Console, response: Mapping[str, Any]) -> None:
    nothing = "No node has evidence for an answer that it may release."
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
    table = Table("node", "outcome", "score", "redacted", "sources", box=None, header_style="bold")
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
    console.print(table)
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


def _print_keywords(console: Console, response: Mapping[str, Any]) -> None:
    found = ", ".join(f"{item['word']} {item['votes']:.0f}" for item in response["keywords"]) or "none"
    console.print(
        f"Keywords by noisy votes (± {response['noise_deviation']:.1f}): {found}; about {response['noisy_count']:.0f} "
        "units voted."
    )
