"""`consensus`: what several operators say, statement by statement, and nothing else.

A heuristic, not a proof: it keeps what one node alone says from the asker, and costs true statements that only one
knows. Of k supporters of a released statement, m may be dishonest; then k − m are honest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from frag.answers.facts import facts_of
from frag.answers.faithfulness import content_words
from frag.answers.statements import statements
from frag.protocols import Similarity
from frag.types import NodeAnswer

MIN_COSINE = 0.75
"""θ: two statements nearer than this say the same, if their facts agree."""
_DECIMALS = 5  # rounding noise of float32 must not decide between equals


@dataclass(frozen=True, slots=True)
class _Said:
    text: str = field(repr=False)
    node_id: str
    operator: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What may come out: empty where no statement has enough supporters."""

    text: str = field(repr=False)
    contributors: tuple[str, ...]
    num_statements: int
    num_released: int


def agree(
    answers: Sequence[NodeAnswer],
    operators: Mapping[str, str],
    min_support: int,
    similarity: Similarity,
    min_cosine: float = MIN_COSINE,
) -> Agreement:
    """Releases the statements that at least `min_support` operators make, each once and in one node's words.

    Of statements that support each other that is taken which adds least to what the others say, and is nearest to
    them. Neither the order of the answers nor
    the number of nodes that an operator runs changes anything.

    Args:
        answers: Released texts.
        operators: Who runs each node; a node that is not named stands for itself.
        min_support: k, counting the operator who says it.
        similarity: Cosines of embeddings. Blocking.
        min_cosine: θ.
    """
    said = _said(answers, operators)
    if not said:
        return Agreement(text="", contributors=(), num_statements=0, num_released=0)
    cosines = np.asarray(similarity([item.text for item in said]), dtype=np.float64)
    supports = _supports(said, (cosines + cosines.T) / 2, min_cosine)
    released, contributors = _released(said, supports, cosines, min_support)
    return Agreement(
        text=" ".join(map(_closed, released)) if len(released) > 1 else "".join(released),
        contributors=tuple(sorted(contributors)),
        num_statements=len(said),
        num_released=len(released),
    )


def _said(answers: Sequence[NodeAnswer], operators: Mapping[str, str]) -> list[_Said]:
    """Every distinct statement of every node, in an order that says nothing of who was quicker."""
    found = {
        _Said(text, answer.node_id, operators.get(answer.node_id, answer.node_id))
        for answer in answers
        if answer.text and not answer.withheld
        for text in statements(answer.text)
    }
    return sorted(found, key=lambda item: (item.text, item.node_id))


def _supports(said: Sequence[_Said], cosines: npt.NDArray[np.float64], min_cosine: float) -> npt.NDArray[np.bool_]:
    """[n, n]: near each other, and of the same facts. Symmetric; every statement supports itself."""
    facts = [facts_of(item.text) for item in said]
    near = cosines >= min_cosine
    for row in range(len(said)):
        near[row, row] = True
        for column in range(row):
            both = near[row, column] and facts[row].agree(facts[column])
            near[row, column] = near[column, row] = both
    return near


def _released(
    said: Sequence[_Said], supports: npt.NDArray[np.bool_], cosines: npt.NDArray[np.float64], min_support: int
) -> tuple[list[str], set[str]]:
    """Best supported first; what a released statement supports says the same and is not said again."""
    groups: list[list[int]] = [np.flatnonzero(row).tolist() for row in supports]
    operators = [{said[other].operator for other in group} for group in groups]
    centrality = [round(float(cosines[row, group].sum()), _DECIMALS) for row, group in enumerate(groups)]
    foreign = [_num_foreign(row, group, said) for row, group in enumerate(groups)]
    order = sorted(
        range(len(said)), key=lambda row: (-len(operators[row]), foreign[row], -centrality[row], said[row].text)
    )
    released: list[str] = []
    contributors: set[str] = set()
    covered: set[int] = set()
    for row in order:
        if row in covered or len(operators[row]) < min_support:
            continue
        covered.update(groups[row])
        released.append(said[row].text)
        contributors |= {said[other].node_id for other in groups[row]}
    return released, contributors


def _num_foreign(row: int, group: Sequence[int], said: Sequence[_Said]) -> int:
    """Content words that no other operator of the group uses: what rides along on a supported statement."""
    others = [said[other].text for other in group if said[other].operator != said[row].operator]
    return len(content_words(said[row].text) - set().union(*map(content_words, others)))


def _closed(statement: str) -> str:
    return statement if statement[-1] in ".!?" else statement + "."
