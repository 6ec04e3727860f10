"""`frag node feedback`: what askers said of this node's answers, and what becomes of it."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

app = typer.Typer(help="What askers said of this node's answers, and what becomes of it.", no_args_is_help=True)

Folder = Annotated[Path, typer.Option("--folder", envvar="FRAG_NODE_FOLDER", help="State of the node.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Numbers = Annotated[list[int] | None, typer.Argument(help="Numbers that `list` shows.")]
AllFrom = Annotated[str, typer.Option("--all-from", help="All of one API key, by its pseudonym.")]
_DEFAULT = Path("node")


@app.command("list")
def list_(
    folder: Folder = _DEFAULT,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 100,
    *,
    as_json: AsJson = False,
) -> None:
    """Show feedback of the running node: with question and correction while it waits."""
    from server.node.local.client import call
    from server.node.operating import print_feedback
    from server.node.state import NodeFolder

    said = call(NodeFolder(folder), "GET", f"/feedback?limit={limit}")
    if as_json:
        typer.echo(json.dumps(said))
    else:
        print_feedback(said)


@app.command()
def accept(
    numbers: Numbers = None, folder: Folder = _DEFAULT, all_from: AllFrom = "", *, as_json: AsJson = False
) -> None:
    """Make training examples of corrections, in the data set `feedback`. They do not leave this node."""
    _decide("accept", numbers or [], folder, all_from, as_json=as_json)


@app.command()
def reject(
    numbers: Numbers = None, folder: Folder = _DEFAULT, all_from: AllFrom = "", *, as_json: AsJson = False
) -> None:
    """Refuse corrections; those that were accepted leave the data set again. Weights do not unlearn."""
    _decide("reject", numbers or [], folder, all_from, as_json=as_json)


def _decide(
    what: Literal["accept", "reject"], numbers: list[int], folder: Path, all_from: str, *, as_json: bool
) -> None:
    from frag.errors import NotFoundError
    from server.node.local.client import call
    from server.node.state import NodeFolder

    if bool(numbers) == bool(all_from):
        raise typer.BadParameter("give numbers, or --all-from KEY")
    body: dict[str, Any] = {"key": all_from} if all_from else {"ids": numbers}
    said = call(NodeFolder(folder), "POST", f"/feedback/{what}", body)
    if as_json:
        typer.echo(json.dumps(said))
    else:
        for number, outcome in said["outcomes"].items():
            typer.echo(f"{number}: {outcome.replace('_', ' ')}")
        typer.echo(f"the data set feedback holds {said['num_examples']} examples")
    if "not_found" in said["outcomes"].values():
        raise typer.Exit(NotFoundError.exit_code)
