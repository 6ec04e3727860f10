"""Pieces of HTML for notebooks. Every text is escaped: answers come from strangers."""

from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT = 240, 48


def block(*pieces: str) -> str:
    """The pieces below each other; empty ones are left out."""
    return f"<div>{''.join(piece for piece in pieces if piece)}</div>"


def text(content: str, *, strong: bool = False, small: bool = False) -> str:
    """A paragraph, nothing for an empty text."""
    if not content:
        return ""
    tag = "strong" if strong else "small" if small else "span"
    return f"<p><{tag}>{escape(content)}</{tag}></p>"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with a head, nothing where there are no rows."""
    if not rows:
        return ""
    head = "".join(f"<th scope='col'>{escape(title)}</th>" for title in titles)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def curve(values: Sequence[float], name: str = "loss") -> str:
    """A line from the first value to the last, nothing for fewer than two."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    span = high - low or 1.0
    points = " ".join(
        f"{index * _WIDTH / (len(values) - 1):.1f},{_HEIGHT - (value - low) / span * _HEIGHT:.1f}"
        for index, value in enumerate(values)
    )
    label = escape(f"{name} from {values[0]:.3f} to {values[-1]:.3f}")
    return (
        f"<svg role='img' aria-label='{label}' width='{_WIDTH}' height='{_HEIGHT}' viewBox='0 0 {_WIDTH} {_HEIGHT}'>"
        f"<polyline points='{points}' fill='none' stroke='currentColor'/></svg>"
    )
