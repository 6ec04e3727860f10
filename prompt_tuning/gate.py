"""Whether a candidate may take the place of the live version: not worse on old data, and not worse on new.

Pure; the figures come from nodes, so that each is bounded before it counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prompt_tuning.standing import Decision

SIDES = ("old", "new")
"""Held-out examples that were there at an earlier run, and those that have come since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`decision` is promoted or rolled_back; `reason` is for people."""

    decision: Decision
    reason: str


def pooled(replies: Iterable[Mapping[str, float]], max_examples: int) -> dict[str, float]:
    """Held-out F1 on old and new data over all nodes, each counted by its examples, as `f1_old`, `n_old`, ….

    Args:
        replies: Metrics of each node: `held_out_f1_old` in [0, 1] and `held_out_n_old`, and the same of `new`; what a
            node has none of is absent.
        max_examples: More than these of one node do not count.
    """
    found = list(replies)
    result: dict[str, float] = {}
    for side in SIDES:
        rows = [
            (_within(row[f"held_out_f1_{side}"], 1.0), _within(row.get(f"held_out_n_{side}", 0.0), max_examples))
            for row in found
            if f"held_out_f1_{side}" in row
        ]
        if total := sum(number for _, number in rows):
            result |= {f"f1_{side}": sum(f1 * number for f1, number in rows) / total, f"n_{side}": total}
    return result


def _within(value: float, highest: float) -> float:
    """Also of what is no number: then 0."""
    return min(max(value, 0.0), highest) if value == value else 0.0  # noqa: PLR0124


def judge(live: Mapping[str, float], candidate: Mapping[str, float], margin: float) -> Verdict:
    """Compares what `pooled` made of both.

    Args:
        live: Of the live version.
        candidate: Of the new one, measured by the same nodes on the same examples.
        margin: By which it may be worse, in F1.
    """
    measured = [side for side in SIDES if f"f1_{side}" in live and f"f1_{side}" in candidate]
    if not measured:
        return Verdict(decision="rolled_back", reason="no node could measure it on held-out examples")
    told = []
    for side in measured:
        gain = candidate[f"f1_{side}"] - live[f"f1_{side}"]
        told.append(f"{side} {gain:+.3f}")
        if gain < -margin:
            return Verdict(
                decision="rolled_back",
                reason=f"worse on {side} data: F1 {candidate[f'f1_{side}']:.3f} against {live[f'f1_{side}']:.3f}",
            )
    return Verdict(decision="promoted", reason=f"F1 {', '.join(told)}")
