"""The `frag` command. Imports nothing heavy: each command loads what it needs when it is called."""

import sys
from typing import Annotated

import typer

import frag
from frag.errors import FragError
from server.commands import (
    ask,
    asker,
    audit,
    bench,
    bench_index,
    coordinator,
    dataset,
    demo,
    doctor,
    evaluate,
    feedback,
    mcp,
    models,
    node,
    nodes,
    privacy,
    prompts,
    roster,
    settings,
    simulate,
    train,
)
from server.mends import mend_of

app = typer.Typer(
    name="frag",
    help="Ask one question across documents that may not leave their owners.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(models.app, name="models")
app.add_typer(coordinator.app, name="coordinator")
app.add_typer(node.app, name="node")
app.add_typer(dataset.app, name="dataset")
app.add_typer(evaluate.app, name="eval")
bench.app.command(name="index")(bench_index.index)
app.add_typer(bench.app, name="bench")
app.add_typer(train.app, name="jobs")
app.add_typer(prompts.app, name="prompts")
app.add_typer(privacy.app, name="privacy")
app.add_typer(roster.app, name="roster")
app.command(name="train")(train.train)
app.command(name="simulate")(simulate.simulate)
app.command(name="ask")(ask.ask)
app.command(name="feedback")(feedback.feedback)
app.command(name="nodes")(nodes.nodes)
app.command(name="asker")(asker.asker)
app.command(name="audit")(audit.audit)
app.command(name="demo")(demo.demo)
app.command(name="mcp")(mcp.mcp)
app.command(name="doctor")(doctor.doctor)
app.command(name="settings")(settings.settings)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer's callback signature
    if wanted:
        typer.echo(f"frag {frag.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point: an error that a user can mend ends in two lines and a stable exit code, never in a trace."""
    try:
        app()
    except FragError as error:
        typer.echo(f"frag: {error.what} [{error.code}]", err=True)
        if mend := mend_of(error):
            typer.echo(f"      {mend}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("frag: interrupted", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
