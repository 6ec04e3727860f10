"""`frag doctor`: is this installation well, and what mends it."""

from pathlib import Path
from typing import Annotated

import typer

_SETTINGS = ("node.toml", "coordinator.toml")


def doctor(
    folder: Annotated[
        list[Path] | None,
        typer.Option("--folder", help="Of a node or coordinator; may be repeated. Default: those below this folder."),
    ] = None,
    *,
    quick: Annotated[bool, typer.Option(help="Compare sizes of model files instead of hashing them.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check this machine and the named folders. Changes nothing. Exits 1 when something is to be mended."""
    import msgspec

    from server.doctor.run import find, show

    folders = folder or sorted({path.parent for name in _SETTINGS for path in Path().glob(f"*/{name}")})
    found = find(folders, verify=not quick)
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        show(found)
    if not all(finding.ok for findings in found.values() for finding in findings):
        raise typer.Exit(1)
