"""`frag node reembed`: changes the embedder, by the running node or here, with a bar that shows how far it is."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.progress import TaskID

    from server.node.changeover import Order


def reembed(
    collection: Annotated[
        str, typer.Argument(help="Only to check the name: all collections change over together.")
    ] = "",
    folder: Annotated[Path, typer.Option("--folder", envvar="FRAG_NODE_FOLDER", help="State of the node.")] = Path(
        "node"
    ),
    *,
    model: Annotated[str, typer.Option(help="The new embedder; otherwise that of node.toml.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
) -> None:
    """Embed all documents with another model beside the old index, and change over when that is complete.

    Answers go on meanwhile. It may be interrupted at any time, and goes on where it was.
    """
    from frag.errors import NotFoundError
    from server.node.reembedding_now import reembed_node
    from server.node.state import NodeFolder

    place = NodeFolder(folder)
    names = [c.name for c in place.settings().collections]
    if collection and collection not in names:
        raise NotFoundError(f"There is no collection {collection!r}.", f"node.toml has: {', '.join(names) or 'none'}.")
    with ExitStack() as stack:
        done = reembed_node(place, model, _Bars(stack, quiet=as_json).show)
    if as_json:
        typer.echo(json.dumps(done))
    else:
        typer.echo(f"Questions are answered with the embedder {done['model']} now.")


class _Bars:
    """One bar a collection."""

    def __init__(self, stack: ExitStack, *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bars = stack.enter_context(Progress(*columns, console=Console(stderr=True), disable=quiet))
        self._tasks: dict[str, TaskID] = {}

    def show(self, order: "Order") -> None:
        for name, (done, total) in order.collections.items():
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(f"{name}: embedding", total=None)
            self._bars.update(self._tasks[name], completed=done, total=total)
