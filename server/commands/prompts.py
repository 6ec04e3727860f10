"""`frag prompts`: versions, which is live, promotion and the way back."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(help="Trained prompts: versions, promotion, rollback.", no_args_is_help=True)

Url = Annotated[str, typer.Option(envvar="FRAG_URL", help="Address of the coordinator.")]
Key = Annotated[str, typer.Option(envvar="FRAG_API_KEY", help="API key with scope `train`.")]
Ca = Annotated[Path | None, typer.Option(help="PEM file that signs the coordinator's certificate.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_URL = "http://127.0.0.1:8470"


@app.command("list")
def list_(url: Url = _URL, key: Key = "", tls_ca: Ca = None, *, as_json: AsJson = False) -> None:
    """Show all versions; the live one is marked."""
    from server.training_client import TrainingClient, print_prompts

    found = asyncio.run(TrainingClient(url, key, tls_ca).get("/v1/prompts"))
    if as_json:
        typer.echo(json.dumps(found))
    else:
        print_prompts(found["prompts"])


@app.command()
def timeline(url: Url = _URL, key: Key = "", tls_ca: Ca = None, *, as_json: AsJson = False) -> None:
    """Show versions, what was decided of them and why, and what went live, oldest first."""
    from server.standing_tables import print_timeline
    from server.training_client import TrainingClient

    found = asyncio.run(TrainingClient(url, key, tls_ca).get("/v1/timeline"))
    if as_json:
        typer.echo(json.dumps(found))
    else:
        print_timeline(found["timeline"])


@app.command()
def show(
    version: Annotated[str, typer.Argument(help="As `frag prompts list` names it.")],
    url: Url = _URL,
    key: Key = "",
    tls_ca: Ca = None,
) -> None:
    """Show one version as JSON."""
    from server.training_client import TrainingClient

    typer.echo(json.dumps(asyncio.run(TrainingClient(url, key, tls_ca).get(f"/v1/prompts/{version}")), indent=1))


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and hyphens.")],
    instruction: Annotated[str, typer.Option(help="What the model is told before passages and question.")] = "",
    examples: Annotated[Path | None, typer.Option(help="JSONL with passage, question and answer: few-shot.")] = None,
    url: Url = _URL,
    key: Key = "",
    tls_ca: Ca = None,
) -> None:
    """Register a hand-written or few-shot template. It is shown to every node's model: put nothing private into it."""
    from prompt_tuning.dataset import read_examples
    from server.training_client import TrainingClient

    shown = [
        ("\n\n".join(example.passages), example.question, example.answers[0])
        for example in (read_examples(examples) if examples else [])
    ]
    body = {"name": name, "instruction": instruction, "examples": shown}
    added = asyncio.run(TrainingClient(url, key, tls_ca).post("/v1/prompts", body))
    typer.echo(f"version {added['version']}; make it live with: frag prompts promote {added['version']}")


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="A version, or `none` for the model as it is.")],
    url: Url = _URL,
    key: Key = "",
    tls_ca: Ca = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask. A script without a terminal is never asked.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a version live on every node; a person is shown both first, and asked. Exits 6 when a node did not take it.

    Exits 1 when the answer is no.
    """
    from server.training_client import TrainingClient, print_change

    client = TrainingClient(url, key, tls_ca)
    if not yes and _is_terminal() and print_change(asyncio.run(client.get("/v1/prompts"))["prompts"], version):
        typer.confirm("Make it live on every node?", abort=True, err=True)
    _told(asyncio.run(client.post(f"/v1/prompts/{version}/promote")), as_json=as_json)


def _is_terminal() -> bool:
    return sys.stdin.isatty()


@app.command()
def rollback(url: Url = _URL, key: Key = "", tls_ca: Ca = None, *, as_json: AsJson = False) -> None:
    """Make live again what was live before."""
    from server.training_client import TrainingClient

    _told(asyncio.run(TrainingClient(url, key, tls_ca).post("/v1/prompts/rollback")), as_json=as_json)


def _told(said: dict[str, Any], *, as_json: bool) -> None:
    from server.training_client import print_promotion

    if as_json:
        typer.echo(json.dumps(said))
    else:
        print_promotion(said)
    if any(outcome != "live" for outcome in said["nodes"].values()):
        raise typer.Exit(6)
