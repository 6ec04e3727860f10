"""How commands show long work and what came of it: a bar on standard error, then a table or one JSON object."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from server.evaluation.run import Tick

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
