"""`frag roster`: who the nodes of a federation are, signed by its operators."""

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="The signed roster: nodes that pin it need not believe the coordinator about their peers.",
    no_args_is_help=True,
)
File = Annotated[Path, typer.Argument(help="The roster, JSON. Send it to every operator and node.")]


@app.command()
def key(file: Annotated[Path, typer.Argument(help="Where the new private key goes, mode 0600.")]) -> None:
    """Make an operator's key, and print its public half: give that to the other operators by another way."""
    from frag.errors import ConflictError
    from server.wire.identity import make_key, public_bytes

    if file.exists():
        raise ConflictError(f"There is a file {file} already.", "Keep it, or choose another name.")
    typer.echo(public_bytes(make_key(file)).hex())


@app.command()
def create(
    file: File,
    federation: Annotated[str, typer.Option(help="Name of the federation.")],
    node: Annotated[list[str], typer.Option(help="ID=KEY; `frag node key` prints a node's. May be repeated.")],
    operator: Annotated[list[str], typer.Option(help="LABEL=KEY of who must sign. May be repeated.")],
) -> None:
    """Write a roster that nobody has signed yet."""
    import msgspec

    from frag.errors import BadRequestError, ConflictError
    from frag.roster import Roster, save_roster

    if file.exists():
        raise ConflictError(f"There is a file {file} already.", "Choose another name; a roster may hold signatures.")
    try:
        content = {"federation": federation, "nodes": _pairs(node), "operators": _pairs(operator)}
        save_roster(msgspec.convert(content, Roster), file)
    except (ValueError, msgspec.ValidationError) as error:
        raise BadRequestError(
            f"This is no roster: {error}.", "Give keys as 64 hex digits, ids in lower case."
        ) from error
    typer.echo(f"wrote {file}; every operator signs it with `frag roster sign`")


def _pairs(given: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or name in found:
            raise ValueError(f"{pair!r} is not NAME=KEY, or is given twice")
        found[name] = value
    return found


@app.command()
def sign(
    file: File,
    label: Annotated[str, typer.Option(help="Your name in the roster.")],
    key: Annotated[Path, typer.Option(help="Your private key.")],
) -> None:
    """Add your signature. Compare the nodes' keys with their operators first, by another way than this file came."""
    from frag.roster import load_roster, save_roster
    from server.wire.identity import load_key

    signed = load_roster(file).signed(label, load_key(key, "Give the file that `frag roster key` wrote."))
    save_roster(signed, file)
    typer.echo(f"signed; still missing: {', '.join(signed.unsigned) or 'nobody'}")


@app.command()
def verify(
    file: File, *, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """Show who is in it and who has signed. Exits 5 unless all operators have."""
    from frag.roster import load_roster

    roster = load_roster(file)
    missing = roster.unsigned
    if as_json:
        typer.echo(json.dumps({"federation": roster.federation, "nodes": roster.nodes, "operators": roster.operators,
                               "unsigned": list(missing)}))  # fmt: skip
    else:
        for kind, named in (("node", roster.nodes), ("operator", roster.operators)):
            for name, public in sorted(named.items()):
                state = "" if kind == "node" else ("  not signed" if name in missing else "  signed")
                typer.echo(f"{kind:8} {name:24} {public}{state}")
    if missing:
        raise typer.Exit(5)
