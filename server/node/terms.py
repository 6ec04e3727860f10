"""Holds a node's settings to what its units were promised when they were charged."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from frag.policy_settings import CollectionSettings, PolicySettings
from frag.privacy.ledger import Ledger
from frag.privacy.terms import UnitTerms
from frag.types import AnswerMode


def hold_to_terms(
    ledger: Path, policy: PolicySettings, collections: Sequence[CollectionSettings], *, accept: bool = False
) -> list[str]:
    """Compares the settings with the ledger, and writes them down in it. Blocking.

    Args:
        ledger: Its file; made where collections are under `dp`.
        policy: Of the node.
        collections: All of the node.
        accept: The operator takes on what changes.

    Returns:
        What changes against earlier promises, in words.

    Raises:
        LedgerError: Something changes and is not accepted, or the ledger cannot be used.
    """
    private = [item for item in collections if AnswerMode.DP in item.modes_under(policy)]
    if not private and not ledger.exists():
        return []
    unprotected = [_resolved(item) for item in collections if item not in private]
    with closing(Ledger.open(ledger)) as opened:
        return opened.agree([_terms(item, policy) for item in private], unprotected, accept=accept)


def _terms(collection: CollectionSettings, policy: PolicySettings) -> UnitTerms:
    return UnitTerms(
        collection=collection.name,
        folder=_resolved(collection),
        unit=collection.unit,
        epsilon=policy.dp.epsilon,
        delta=policy.dp.delta,
    )


def _resolved(collection: CollectionSettings) -> str:
    return str(collection.folder.resolve())
