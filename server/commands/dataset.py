"""`frag dataset`: the training examples of a node. Shows sizes, never text."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from server.node.datasets import DatasetInfo, DatasetRegistry

app = typer.Typer(help="Keep the training examples of a node.", no_args_is_help=True)

Folder = Annotated[Path, typer.Option("--folder", envvar="FRAG_NODE_FOLDER", help="State of the node.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_DEFAULT = Path("node")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What to call it: a-z, 0-9, - and _.")],
    file: Annotated[Path, typer.Argument(help=".jsonl, .csv or .tsv with one example a row, or SQuAD-format .json.")],
    folder: Folder = _DEFAULT,
    *,
    question_column: Annotated[str, typer.Option(help="Holds the question.")] = "question",
    answer_column: Annotated[str, typer.Option(help="Holds the answer, or a JSON list of right ones.")] = "answer",
    passage_column: Annotated[str, typer.Option(help="Holds the passage that answers it, if any.")] = "passage",
    text_column: Annotated[str, typer.Option(help="Holds plain text, to learn from as it is.")] = "text",
    group_column: Annotated[str, typer.Option(help="Rows with the same value are never split up.")] = "group",
    replace: Annotated[bool, typer.Option("--replace", help="Put it in the place of an older one.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check the examples of FILE and copy them into the node's folder. They never leave it."""
    from prompt_tuning.dataset import Columns

    columns = Columns(
        question=question_column, answer=answer_column, passage=passage_column, text=text_column, group=group_column
    )
    info = _registry(folder).add(name, file, columns, replace=replace)
    if as_json:
        typer.echo(json.dumps(_as_dict(info)))
    else:
        _print_table([info])


@app.command(name="list")
def list_datasets(folder: Folder = _DEFAULT, *, as_json: AsJson = False) -> None:
    """Show the data sets of the node."""
    infos = _registry(folder).listed()
    if as_json:
        typer.echo(json.dumps({"datasets": [_as_dict(info) for info in infos]}))
    elif infos:
        _print_table(infos)
    else:
        typer.echo("No data sets. Add one: `frag dataset add NAME FILE`.")


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="A name that `frag dataset list` shows.")], folder: Folder = _DEFAULT
) -> None:
    """Delete the node's copy of a data set. What was trained on it stays trained."""
    _registry(folder).remove(name)
    typer.echo(f"Removed {name}.")


def _registry(folder: Path) -> "DatasetRegistry":
    """Raises SettingsError when there is no node in `folder`, so that a mistyped path makes no folder."""
    from server.node.datasets import DatasetRegistry
    from server.node.state import NodeFolder

    place = NodeFolder(folder)
    place.settings()
    return DatasetRegistry(place.datasets)


def _as_dict(info: "DatasetInfo") -> dict[str, object]:
    from msgspec import to_builtins

    described: dict[str, object] = to_builtins(info)
    return described


def _print_table(infos: "Sequence[DatasetInfo]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    table.add_column("name", overflow="fold")
    for number in ("examples", "groups", "duplicates"):
        table.add_column(number, justify="right", no_wrap=True)
    table.add_column("passages")
    table.add_column("objectives")
    table.add_column("added", no_wrap=True)
    for info in infos:
        numbers = (f"{n:,}" for n in (info.num_examples, info.num_groups, info.num_duplicates))
        passages = "yes" if info.has_passages else "no"
        table.add_row(info.name, *numbers, passages, ", ".join(info.objectives), f"{info.added_at:%Y-%m-%d %H:%M}")
    Console().print(table)
