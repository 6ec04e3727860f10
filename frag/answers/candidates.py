"""What every method of aggregation starts from: the distinct answers, in an order of their own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from frag.answers.scoring import squad_normalise
from frag.types import NodeAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One distinct answer: equal but for case, punctuation, articles and spacing.

    `text` is the surface form of its best-scored member, `score` that member's; `node_ids` are sorted and unique.
    `weight` is the sum over the members, of which none counts for more than the second highest score of all nodes:
    what one node alone claims of itself does not outweigh two others.
    """

    text: str = field(repr=False)
    score: float
    weight: float
    node_ids: tuple[str, ...]


def gather_candidates(answers: Sequence[NodeAnswer]) -> list[Candidate]:
    """Merges equal answers; best score first, ties by node id.

    Withheld and blank answers are left out, and a node counts once per distinct answer.

    Raises:
        ValueError: No answer has a text.
    """
    released = sorted((answer for answer in answers if answer.text.strip() and not answer.withheld), key=_rank)
    if not released:
        raise ValueError("there is no released answer to aggregate")
    groups: dict[str, dict[str, NodeAnswer]] = {}
    for answer in released:
        groups.setdefault(_normal(answer.text), {}).setdefault(answer.node_id, answer)
    highest = _second_highest(released)
    return [_merge(list(members.values()), highest) for members in groups.values()]


def _second_highest(ranked: Sequence[NodeAnswer]) -> float:
    """Of all nodes; the only node's own where there is but one."""
    others = (answer for answer in ranked if answer.node_id != ranked[0].node_id)
    return _score(next(others, ranked[0]))


def _merge(members: Sequence[NodeAnswer], highest: float) -> Candidate:
    return Candidate(
        text=members[0].text.strip(),
        score=_score(members[0]),
        weight=math.fsum(min(_score(member), highest) for member in members),
        node_ids=tuple(sorted(member.node_id for member in members)),
    )


def _rank(answer: NodeAnswer) -> tuple[float, str, str]:
    return -_score(answer), answer.node_id, answer.text


def _score(answer: NodeAnswer) -> float:
    """A peer's number, kept inside the range that its type promises."""
    return 0.0 if math.isnan(answer.score) else min(max(answer.score, 0.0), 1.0)


def _normal(text: str) -> str:
    return squad_normalise(text) or " ".join(text.split())
