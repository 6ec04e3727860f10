"""`frag coordinator`: set up, run, and hand out tokens and keys."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from server.commands.choices import Scope

if TYPE_CHECKING:
    from server.coordinator.database import Database
    from server.coordinator.folder import CoordinatorFolder
    from server.coordinator.tables import KeyRow

_Result = TypeVar("_Result")

app = typer.Typer(help="Set up and run the coordinator.", no_args_is_help=True)
keys = typer.Typer(help="API keys of askers and operators.", no_args_is_help=True)
app.add_typer(keys, name="key")

Folder = Annotated[Path, typer.Option("--folder", envvar="FRAG_COORDINATOR_FOLDER", help="State of the coordinator.")]
_DEFAULT = Path("coordinator")
_WHEN = ("created_at", "revoked_at")


@app.command()
def init(
    folder: Folder = _DEFAULT,
    host: Annotated[str, typer.Option(help="Address to bind; other than loopback needs TLS.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to bind.")] = 8470,
) -> None:
    """Make settings, identity and database, and print the admin key once."""
    from frag.errors import ConflictError
    from server.coordinator.folder import CoordinatorFolder

    place = CoordinatorFolder(folder)
    try:
        place.create(host, port)
    except FileExistsError as error:
        raise ConflictError(f"{folder} is a file.", "Choose a folder.") from error
    key = asyncio.run(_add_key(place, "admin", frozenset({"admin"})))
    typer.echo(f"Coordinator made in {folder}. Settings: {place.settings_file}")
    typer.echo(f"Admin API key (shown once): {key}")
    typer.echo(f"Next: frag coordinator run --folder {folder}")


@app.command()
def run(folder: Folder = _DEFAULT) -> None:
    """Serve until SIGINT or SIGTERM."""
    from server.coordinator.folder import CoordinatorFolder
    from server.coordinator.serve import serve

    serve(CoordinatorFolder(folder))


@app.command()
def token(
    node: Annotated[str, typer.Argument(help="Name of the node: a-z, 0-9 and hyphen.")],
    folder: Folder = _DEFAULT,
    url: Annotated[str, typer.Option(help="Where the node reaches the coordinator; default: as bound.")] = "",
    operator: Annotated[
        str, typer.Option(help="Who runs it, if they run others too: counts once in a consensus.")
    ] = "",
) -> None:
    """Print a one-time enrollment token for a node, good for one hour."""
    from server.coordinator.folder import CoordinatorFolder

    typer.echo(asyncio.run(_make_token(CoordinatorFolder(folder), node, url, operator)))


@keys.command(name="add")
def add_key(
    label: Annotated[str, typer.Argument(help="Who will hold the key.")],
    folder: Folder = _DEFAULT,
    scope: Annotated[list[Scope] | None, typer.Option(help="What it may do; may be repeated. Default: query.")] = None,
) -> None:
    """Make an API key and print it once."""
    from server.coordinator.folder import CoordinatorFolder

    scopes = frozenset(str(one) for one in scope or [Scope.QUERY])
    typer.echo(asyncio.run(_add_key(CoordinatorFolder(folder), label, scopes)))


@keys.command(name="list")
def list_keys(
    folder: Folder = _DEFAULT,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show who holds keys, what each may do and since when. The keys themselves are not kept, and cannot be shown."""
    from server.coordinator.folder import CoordinatorFolder
    from server.tables import plain_table, print_table

    async def work(database: "Database") -> "Sequence[KeyRow]":
        return await database.keys()

    rows = [_key_view(row) for row in asyncio.run(_with_database(CoordinatorFolder(folder), work))]
    if as_json:
        typer.echo(json.dumps({"keys": rows}))
        return
    table = plain_table("label", "scopes", "made (UTC)", "revoked (UTC)")
    for row in rows:
        table.add_row(row["label"], ", ".join(row["scopes"]), *(row[at][:16].replace("T", " ") for at in _WHEN))
    print_table(table)


def _key_view(row: "KeyRow") -> "dict[str, Any]":
    made, revoked = (getattr(row, at).isoformat() if getattr(row, at) else "" for at in _WHEN)
    return {"label": row.label, "scopes": row.scopes.split(), "created_at": made, "revoked_at": revoked}


@keys.command(name="revoke")
def revoke_key(label: Annotated[str, typer.Argument(help="As it was added.")], folder: Folder = _DEFAULT) -> None:
    """Revoke an API key; a running coordinator refuses it within two seconds."""
    from server.coordinator.folder import CoordinatorFolder

    async def work(database: "Database") -> None:
        await database.revoke_key(label)

    asyncio.run(_with_database(CoordinatorFolder(folder), work))
    typer.echo(f"Revoked {label}.")


async def _with_database(folder: "CoordinatorFolder", work: "Callable[[Database], Awaitable[_Result]]") -> "_Result":
    from server.coordinator.database import open_database

    async with open_database(folder.database_url(folder.settings())) as database:
        return await work(database)


async def _add_key(folder: "CoordinatorFolder", label: str, scopes: frozenset[str]) -> str:
    from server.coordinator.auth import hash_api_key, new_api_key

    key = new_api_key()

    async def work(database: "Database") -> None:
        await database.add_key(label, hash_api_key(key), scopes)

    await _with_database(folder, work)
    return key


async def _make_token(folder: "CoordinatorFolder", node: str, url: str, operator: str) -> str:
    from server.coordinator.enrollment import Enrollment
    from server.coordinator.links import Registry

    settings = folder.settings()
    scheme = "https" if settings.tls else "http"

    async def work(database: "Database") -> str:
        enrollment = Enrollment(database, Registry(), folder.key(), frozenset())
        made = await enrollment.make_token(node, url or f"{scheme}://{settings.host}:{settings.port}", operator)
        return made["token"]

    return await _with_database(folder, work)
