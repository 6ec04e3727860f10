"""Tables for people that lose nothing: on a narrow terminal long words are folded, in a pipe every row is one line."""

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

_ANY_WIDTH = 10_000


def plain_table(*titles: str, padding: int = 2, title: str | None = None) -> Table:
    """Without borders; more columns may be added."""
    return Table(*titles, box=None, header_style="bold", padding=(0, padding, 0, 0), title=title)


def print_table(table: Table) -> None:
    """To standard output. What looks like markup in a cell is shown as it is: cells hold what others have written."""
    console = Console(markup=False)
    size = _size(console, table)
    if not console.is_terminal and size.maximum > console.width:
        console = Console(markup=False, width=size.maximum)
    for column in table.columns:
        column.overflow = "fold"
    for insists in ("no_wrap", "min_width"):  # given up one after the other, or it would be cut from other columns
        if _size(console, table).minimum > console.width:
            for column in table.columns:
                setattr(column, insists, None)
    console.print(table)


def _size(console: Console, table: Table) -> Measurement:
    return console.measure(table, options=console.options.update(max_width=_ANY_WIDTH))
