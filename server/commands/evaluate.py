"""`frag eval`."""

import typer

app = typer.Typer(help="Evaluate a federation on labelled questions.", no_args_is_help=True)
