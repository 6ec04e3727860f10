"""By what the ledger has counted so far: whose documents, what a unit is in them, and how much one may spend.

A budget holds for a unit's whole life. A collection under another name, another pattern for persons or a larger ε would
give units new budget, and what askers were promised before would no longer be true.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitTerms:
    """Of one collection under mode `dp`.

    Args:
        collection: Its name, part of the names of its units.
        folder: Where its documents lie, resolved.
        unit: The pattern that finds a person in a document's id; empty where documents stand for themselves.
        epsilon: Of a unit for all answers together.
        delta: That goes with it.
    """

    collection: str
    folder: str
    unit: str
    epsilon: float
    delta: float


def what_breaks(known: Sequence[UnitTerms], wanted: Sequence[UnitTerms], unprotected: Collection[str]) -> list[str]:
    """In what units would get, or show, more than the `known` terms have promised, in words; empty when in nothing.

    Args:
        known: Of collections whose units have been charged.
        wanted: Of the collections under `dp` from now on.
        unprotected: Folders of documents that are answered from in other modes.
    """
    changes = [change for terms in wanted for change in _more_than(known, terms)]
    opened = [terms for terms in known if terms.folder in unprotected]
    return changes + [f"the documents of {terms.collection} were under dp, and no longer are" for terms in opened]


def _more_than(known: Sequence[UnitTerms], wanted: UnitTerms) -> list[str]:
    broken = []
    for other in known:
        if other.collection != wanted.collection and other.folder == wanted.folder:
            broken.append(f"the documents of {wanted.collection} were counted as {other.collection}")
        if other.collection != wanted.collection:
            continue
        if other.unit != wanted.unit:
            broken.append(f"units of {wanted.collection} were found by {other.unit!r}, not by {wanted.unit!r}")
        if wanted.epsilon > other.epsilon or wanted.delta > other.delta:
            broken.append(
                f"{wanted.collection} promised ε = {other.epsilon:g}, δ = {other.delta:g} for all answers together, "
                f"less than ε = {wanted.epsilon:g}, δ = {wanted.delta:g}"
            )
    return broken
