"""Tables of the page, in Markdown."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns of figures are aligned to the right."""
    cells = [[shown(value) for value in row] for row in rows]
    rule = ["--:" if all(_is_figure(cell) for cell in column) else "---" for column in zip(*cells, strict=True)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *cells])


def _is_figure(cell: str) -> bool:
    return cell[:1] in "–+−" or cell[:1].isdigit()


def shown(value: object) -> str:
    """Four figures of a number, `–` for what was not measured."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, float):
        return minus(f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}")
    return f"{value:,}" if isinstance(value, int) else str(value)


def with_interval(value: float | None, interval: Sequence[float] | None = None, places: int = 3) -> str:
    """`0.511 (0.460–0.564)`."""
    if value is None:
        return "–"
    bounds = f" ({interval[0]:.{places}f}–{interval[1]:.{places}f})" if interval else ""
    return f"{value:.{places}f}{bounds}"


def percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def minus(figure: str) -> str:
    return figure.replace("-", "−")
