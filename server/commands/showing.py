"""How commands show long work and what came of it: a bar on standard error, then a table or one JSON object."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from server.evaluation.run import Tick

_MAX_WAIT_S = 600.0
_PICTURES = (".png", ".svg", ".pdf", ".jpg")

Report = Mapping[str, Any]


def show(report: Report, print_report: Callable[[Any], None], files: Sequence[Path] = (), *, as_json: bool) -> None:
    """One JSON object for programs; for people what `print_report` prints, and which files were written."""
    if as_json:
        typer.echo(json.dumps(report))
        return
    print_report(report)
    for file in files:
        typer.echo(f"wrote {file}")


@contextmanager
def progress_bar(*, quiet: bool) -> "Iterator[Tick]":
    """One bar on standard error that follows what is under way."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True) as bars:
        task = bars.add_task("starting", total=None)
        yield lambda what, done, total: bars.update(task, description=what, completed=done, total=total or None)


def picture_file(path: Path | None) -> Path | None:
    """Of an option, before any work is done: raises typer.BadParameter when the plot could not be written."""
    if path is not None and path.suffix.lower() not in _PICTURES:
        raise typer.BadParameter(f"{path} ends in none of {', '.join(_PICTURES)}")
    if path is not None and not path.absolute().parent.is_dir():
        raise typer.BadParameter(f"the folder {path.parent} does not exist")
    return path


def seconds(value: float | None) -> float | None:
    """Of an option: raises typer.BadParameter unless it is a time that one can wait."""
    if value is not None and not 0 < value <= _MAX_WAIT_S:
        raise typer.BadParameter(f"{value} is not between 0 and {_MAX_WAIT_S:g} s")
    return value
