"""What `frag eval pii` found, for people."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from server.tables import print_table


def print_pii(report: Mapping[str, Any]) -> None:
    """A table a system; the first column of figures is the honest one."""
    console = Console()
    console.print(f"{report['num_texts']} texts of {report['num_templates']} templates")
    for name, system in report["systems"].items():
        console.print(f"[bold]{name}[/bold], {system['texts_per_s']} texts/s")
        table = Table("", box=None, header_style="bold")
        for column in ("held out", "95 %", "looked at", "95 %", "spans"):
            table.add_column(column, justify="right")
        for measure in ("recall", "precision"):
            table.add_row(measure, *_cells(system["held_out"][measure], system["looked_at"][measure]), "")
        for kind, found in system["all"]["by_type"].items():
            few = "" if found["claimed"] else " (too few)"
            cells = _cells(system["held_out"]["by_type"][kind], system["looked_at"]["by_type"][kind])
            table.add_row(f"  {kind}", *cells, f"{found['count']}{few}")
        print_table(table)
        folds = ", ".join("–" if value is None else f"{value:.3f}" for value in system["recall_by_fold"])
        console.print(f"recall by fold: {folds}")


def _cells(*shares: Mapping[str, Any]) -> list[str]:
    cells = []
    for share in shares:
        low, high = share["interval_95"]
        cells += ["–" if share["value"] is None else f"{share['value']:.3f}", f"{low:.3f} to {high:.3f}"]
    return cells
