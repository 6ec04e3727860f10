"""`frag audit`: attacks on a simulated federation, with a number each."""

from pathlib import Path
from typing import Annotated

import typer

from server.commands.choices import ATTACKS


def audit(
    attack: Annotated[list[str] | None, typer.Option(help=f"Only this one; may be repeated: {ATTACKS}.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of attack texts, such as xquad/ and clinc150/.")] = None,
    out: Annotated[Path, typer.Option(help="Where reports go; attacks that it holds are not run again.")] = Path(
        "results/audit"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Of everything that the attacker draws.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of models.")] = 1,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer runs and stand-ins for slow models.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Attack the product's own code and measure its promises. Exit code 1 when one is broken."""
    import json

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from frag.errors import SettingsError
    from server.audit.present import as_object, print_reports, write_reports
    from server.audit.report import AuditSettings
    from server.audit.run import chosen, kept_in, run

    if data is not None and not data.is_dir():
        raise SettingsError(f"There is no folder {data}.", "Leave --data out to use the built-in texts.")
    names = chosen(attack or ())
    settings = AuditSettings(quick=quick, data=data, seed=seed, threads=threads)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=as_json, transient=True) as bars:
        rows = {name: bars.add_task(name, total=None) for name in names}
        kept = run(names, settings, out, lambda name, done, total: bars.update(rows[name], completed=done, total=total))
    written = write_reports(kept_in(out, settings), out)
    if as_json:
        typer.echo(json.dumps(as_object(kept)))
    else:
        print_reports(kept)
        typer.echo(f"wrote {', '.join(map(str, written))}")
    if any(item.report.is_broken for item in kept):
        raise typer.Exit(1)
