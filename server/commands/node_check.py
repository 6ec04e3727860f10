"""`frag node check`."""

import json
from pathlib import Path
from typing import Annotated

import typer


def check(
    folder: Annotated[Path, typer.Option("--folder", envvar="FRAG_NODE_FOLDER", help="State of the node.")] = Path(
        "node"
    ),
    *,
    questions: Annotated[int, typer.Option(min=1, help="Searches compared with exact ones.")] = 100,
    min_recall: Annotated[float, typer.Option(min=0, max=1, help="Below, the command exits with 7.")] = 0.95,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare searches of the whole index with exact ones, and its files with their checksums. Safe beside the node."""
    from dataclasses import asdict

    from server.node.operating import check as check_indices
    from server.node.state import NodeFolder

    done = check_indices(NodeFolder(folder), questions)
    if as_json:
        typer.echo(json.dumps({name: asdict(found) for name, found in done.items()}))
    else:
        for name, found in done.items():
            typer.echo(
                f"{name}: recall@10 {found.recall_at_10:.3f} against exact search; {found.num_vectors} vectors, "
                f"{found.num_vectors - found.num_fresh} of them in {found.num_segments} sealed segments"
            )
            for file in found.damaged:
                typer.echo(f"{name}: {file} is missing or damaged; `frag node compact` makes it anew")
    if any(found.damaged or found.recall_at_10 < min_recall for found in done.values()):
        raise typer.Exit(7)
