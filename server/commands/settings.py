"""`frag settings`: every setting, as the classes say."""

from pathlib import Path
from typing import Annotated

import typer


def settings(
    write: Annotated[Path | None, typer.Option(help="Write the page here instead of printing it.")] = None,
) -> None:
    """Print the reference of coordinator.toml and node.toml in Markdown."""
    from server.settings_reference import reference

    page = reference()
    if write is None:
        typer.echo(page, nl=False)
    else:
        write.write_text(page, encoding="utf-8")
