"""Cells and tables of generated pages."""

from collections.abc import Iterable, Sequence


def cell(text: object) -> str:
    """One line that fits between two bars."""
    return " ".join(str(text).split()).replace("|", "\\|")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; empty without rows."""
    shown = ["| " + " | ".join(map(cell, row)) + " |" for row in rows]
    if not shown:
        return ""
    return "\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head), *shown])
