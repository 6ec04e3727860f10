"""`frag dataset`: the training examples of a node. Shows sizes, never text."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from server.node.datasets import DatasetInfo, Datasets

app = typer.Typer(help="The training examples of a node. They never leave it.", no_args_is_help=True)

Folder = Annotated[
    Path,
    typer.Option("--folder", envvar="FRAG_NODE_FOLDER", help="State of the node, or of a coordinator for public data."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_DEFAULT = Path("node")


def _datasets(folder: Path) -> "Datasets":
    from server.coordinator.folder import CoordinatorFolder
    from server.node.datasets import Datasets
    from server.node.state import NodeFolder

    here = CoordinatorFolder(folder)
    place = here if here.settings_file.is_file() else NodeFolder(folder)
    place.settings()  # a wrong --folder is said before anything is written
    return Datasets(place.datasets)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="The name that jobs ask for.")],
    file: Annotated[Path, typer.Argument(help=".jsonl, .csv or .tsv with an example a row, or SQuAD-format .json.")],
    folder: Folder = _DEFAULT,
    question_column: Annotated[str, typer.Option(help="Holds the question.")] = "question",
    answer_column: Annotated[str, typer.Option(help="Holds the answer; in JSON also a list of right ones.")] = "answer",
    passage_column: Annotated[str, typer.Option(help="Holds the passage with the answer, if any.")] = "passage",
    text_column: Annotated[str, typer.Option(help="Holds plain text, for the objective causal_lm.")] = "text",
    group_column: Annotated[str, typer.Option(help="Rows of one value stay on one side of a split.")] = "group",
    unit_column: Annotated[str, typer.Option(help="Names the person or document that DP training protects.")] = "unit",
    *,
    replace: Annotated[bool, typer.Option("--replace", help="In place of one of the same name.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check a file of examples and keep a copy of them. A running node offers it to jobs within seconds."""
    from prompt_tuning.dataset import Columns, split

    columns = Columns(
        question=question_column,
        answer=answer_column,
        passage=passage_column,
        text=text_column,
        group=group_column,
        unit=unit_column,
    )
    datasets = _datasets(folder)
    info = datasets.add(name, file, columns, replace=replace)
    if not split(datasets.load(name)).held_out:
        typer.echo(f"{name} is too small to hold anything out: jobs train on it, and measure nothing here.", err=True)
    if as_json:
        typer.echo(json.dumps(_as_dict(info)))
    else:
        _print([info])


@app.command("list")
def list_(folder: Folder = _DEFAULT, *, as_json: AsJson = False) -> None:
    """Show names and sizes."""
    found = _datasets(folder).listed()
    if as_json:
        typer.echo(json.dumps({"datasets": [_as_dict(info) for info in found]}))
    elif found:
        _print(found)
    else:
        typer.echo("There are no data sets. Add one with `frag dataset add NAME FILE`.")


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="A name that `frag dataset list` shows.")], folder: Folder = _DEFAULT
) -> None:
    """Delete the node's copy of a data set. What was trained on it stays."""
    _datasets(folder).remove(name)
    typer.echo(f"removed {name}")


def _as_dict(info: "DatasetInfo") -> dict[str, object]:
    import msgspec

    built: dict[str, object] = msgspec.to_builtins(info)
    return built


def _print(found: "list[DatasetInfo]") -> None:
    from server.tables import plain_table, print_table

    table = plain_table()
    table.add_column("name", overflow="fold")
    for title in ("examples", "groups", "duplicates"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("passages", no_wrap=True)
    table.add_column("objectives", min_width=11)  # two of them take two lines
    table.add_column("added (UTC)", no_wrap=True, min_width=16)
    for info in found:
        numbers = [f"{n:,}" for n in (info.num_examples, info.num_groups, info.num_duplicates)]
        passages, added = "yes" if info.has_passages else "no", info.added_at[:16].replace("T", " ")
        table.add_row(info.name, *numbers, passages, ", ".join(info.objectives), added)
    print_table(table)
