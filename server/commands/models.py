"""`frag models`: fetch and verify model files."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

app = typer.Typer(help="Fetch and check model files.", no_args_is_help=True)


@app.command()
def pull(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Built-in names or Hugging Face ids; none: all built-in models."),
    ] = None,
) -> None:
    """Fetch models into the cache, verified against pinned hashes, with a progress bar."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from frag.models import BUILT_IN, pull
    from prompt_tuning.conversion import convert_gguf

    columns = (
        TextColumn("{task.description:24}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        TextColumn("{task.fields[state]}"),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bars:
        for name in names or list(BUILT_IN):
            bar = bars.add_task(name, total=None, state="")

            def show(done: int, total: int, bar: object = bar) -> None:
                state = "unpacking and converting" if done >= total else "fetching"
                bars.update(bar, completed=done, total=total, state=state)  # type: ignore[arg-type]

            folder = pull(name, progress=show, convert=convert_gguf)
            bars.update(bar, completed=1, total=1, state=f"ready in {folder}")


@app.command(name="list")
def list_models(
    *,
    verify: Annotated[bool, typer.Option(help="Hash every file, instead of comparing sizes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the built-in models and whether they are ready. Exits 3 when one is corrupt."""
    from frag.models import status
    from server.tables import plain_table, print_table

    rows = status(verify=verify)
    if as_json:
        typer.echo(json.dumps({"models": [{**asdict(row), "path": str(row.path)} for row in rows]}))
    else:
        table = plain_table("name", "kind", "licence", "size", "state", "path")
        for row in rows:
            table.add_row(row.name, row.kind, row.licence, f"{row.size_bytes / 1e6:.0f} MB", row.state, str(row.path))
        print_table(table)
    if any(row.state == "corrupt" for row in rows):
        raise typer.Exit(3)
