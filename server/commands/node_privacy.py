"""`frag node privacy`: what units have spent, and what their node has promised them."""

from pathlib import Path
from typing import Annotated

import typer

from server.commands.showing import picture_file


def privacy(
    folder: Annotated[Path, typer.Option("--folder", envvar="FRAG_NODE_FOLDER", help="State of the node.")] = Path(
        "node"
    ),
    *,
    plot: Annotated[
        Path | None, typer.Option(help="Write a picture to this file, such as spent.png.", callback=picture_file)
    ] = None,
    accept: Annotated[bool, typer.Option(help="Take on settings that give units more than was promised.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what answers and training have spent of the units' privacy budgets, by collection."""
    import msgspec

    from server.node.spending import describe_spending, plot_spending, print_spending
    from server.node.state import NodeFolder
    from server.node.terms import hold_to_terms

    place = NodeFolder(folder)
    if accept:
        settings = place.settings()
        for change in hold_to_terms(place.ledger, settings.policy, settings.collections, accept=True):
            typer.echo(f"accepted: {change}", err=as_json)
    spending = describe_spending(place)
    if plot is not None:
        plot_spending(spending, plot)
    if as_json:
        typer.echo(msgspec.json.encode(spending).decode())
        return
    print_spending(spending)
    if plot is not None:
        typer.echo(f"wrote {plot}")
