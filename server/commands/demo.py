"""`frag demo`: see the whole thing work."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer


def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo keeps its state; made anew.")] = Path(".demo"),
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End a demo that was kept.")] = False,
) -> None:
    """Three clinics answer three questions, each from documents that stay with it."""
    from server.demo.run import run_demo, stop_kept

    if stop:
        stop_kept(folder)
        typer.echo("Stopped.")
        return
    asyncio.run(run_demo(folder, keep=keep))
