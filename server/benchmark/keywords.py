"""What keywords are worth under differential privacy: simulated units vote, through the product's own functions.

A unit's passage mentions ten candidates: each of the keywords that matter with the same probability, the rest drawn
from all others alike. Real passages agree less or more, and in other ways.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from frag.privacy.accounting import rho_within
from frag.privacy.keywords import KeywordRule, decode, noised, rule_within, tally

_LETTERS = "bcdfghjklmnpqrtvwxz"
_ANYTHING = -1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class KeywordPlan:
    """`agreement` is the probability with which a unit mentions a keyword that matters; `epsilon` is for all
    `questions` together."""

    epsilon: float = 4.0
    delta: float = 1e-5
    nodes: int = 3
    colluders: int = 1
    agreement: float = 0.8
    candidates: int = 256
    trials: int = 100
    rows: tuple[tuple[int, int], ...] = ((1, 5), (1, 10), (1, 20), (1, 40), (10, 24), (10, 48), (10, 80))
    """(questions within the budget, units that vote)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeywordRow:
    """`recall` is of the keywords that matter among the most voted for; `released_recall` and `released_precision` are
    of what comes out, after the count and the threshold; `documents_used` is how often anything does."""

    questions: int
    units: int
    rho: float
    noise_deviation: float
    recall: float
    released_recall: float
    released_precision: float | None
    documents_used: float


def measure_keywords(plan: KeywordPlan, show: Callable[[KeywordRow], None] = lambda _row: None) -> list[KeywordRow]:
    """Simulates every row. Units are random by a fixed seed, noise by the system's generator.

    Raises:
        SettingsError: There cannot be such a sum.
    """
    budget = rho_within(plan.epsilon, plan.delta)
    rows = []
    for questions, units in plan.rows:
        rule = rule_within(budget / questions, num_nodes=plan.nodes, colluders=plan.colluders)
        row = _row(plan, rule, questions, units)
        show(row)
        rows.append(row)
    return rows


def _row(plan: KeywordPlan, rule: KeywordRule, questions: int, units: int) -> KeywordRow:
    chance = random.Random(units)  # noqa: S311 - passages of a simulation are no secret
    words = _made_up(plan.candidates)
    ungated = replace(rule, min_count=_ANYTHING, threshold_deviations=_ANYTHING)
    best, right, released, used = 0, 0, 0, 0
    for _ in range(plan.trials):
        chance.shuffle(words)
        matter = set(words[: rule.num_keywords])
        texts = [_passage(words, plan.agreement, rule, chance) for _ in range(units)]
        total = np.zeros(len(words) + 1, np.uint32)
        for node in range(plan.nodes):
            total += noised(tally(texts[node :: plan.nodes], sorted(words), rule), rule)
        best += len(matter & _found(total, words, plan.nodes, ungated))
        found = _found(total, words, plan.nodes, rule)
        right, released, used = right + len(matter & found), released + len(found), used + bool(found)
    whole = plan.trials * rule.num_keywords
    return KeywordRow(
        questions=questions,
        units=units,
        rho=round(rule.rho, 5),
        noise_deviation=round(rule.deviation(plan.nodes), 2),
        recall=round(best / whole, 3),
        released_recall=round(right / whole, 3),
        released_precision=round(right / released, 3) if released else None,
        documents_used=round(used / plan.trials, 3),
    )


def _found(total: "np.typing.NDArray[np.uint32]", words: Sequence[str], nodes: int, rule: KeywordRule) -> set[str]:
    return {word for word, _ in decode(total, sorted(words), nodes, rule).found}


def _passage(words: Sequence[str], agreement: float, rule: KeywordRule, chance: random.Random) -> str:
    mentioned = [word for word in words[: rule.num_keywords] if chance.random() < agreement]
    others = chance.sample(words[rule.num_keywords :], rule.max_votes - len(mentioned))
    return " ".join([*mentioned, *others])


def _made_up(number: int) -> list[str]:
    """Words that no two of share a stem."""
    size = len(_LETTERS)
    return [f"{_LETTERS[n % size]}a{_LETTERS[n // size % size]}o{_LETTERS[n // size**2]}u" for n in range(number)]
