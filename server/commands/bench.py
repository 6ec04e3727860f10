"""`frag bench`."""

import typer

app = typer.Typer(help="Measure what the service costs.", no_args_is_help=True)
