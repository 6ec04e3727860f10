"""What nodes did since this process began, in counts: no question, no answer, nothing that names an asker."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from server.coordinator.answer_views import QueryResponse

_MAX_KINDS = 32
"""Reasons come from peers: further ones of a node are counted together."""


class NodeActivity(msgspec.Struct, frozen=True, kw_only=True):
    """Replies of one node by kind. `epsilon` and `delta` are what it stated last; null where it claimed nothing."""

    node: str
    answered: dict[str, int]
    withheld: dict[str, int]
    failed: dict[str, int]
    epsilon: float | None
    delta: float | None


@dataclass(slots=True)
class _Counts:
    answered: Counter[str] = field(default_factory=Counter)
    withheld: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    epsilon: float | None = None
    delta: float | None = None


@dataclass(slots=True)
class Activity:
    """Counts in memory; a restart begins anew."""

    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    _nodes: dict[str, _Counts] = field(default_factory=dict)

    def note(self, response: QueryResponse) -> None:
        """Counts who answered, withheld and failed."""
        for view in response.answered:
            counts = self._of(view.node)
            counts.answered[view.answer_mode] += 1
            if view.epsilon is not None:
                counts.epsilon, counts.delta = view.epsilon, view.delta
        for refusal in response.withheld:
            _add(self._of(refusal.node).withheld, refusal.reason)
        for failure in response.failed:
            _add(self._of(failure.node).failed, failure.code)

    def _of(self, node: str) -> _Counts:
        return self._nodes.setdefault(node, _Counts())

    def nodes(self) -> list[NodeActivity]:
        """By name."""
        return [
            NodeActivity(
                node=node,
                answered=dict(counts.answered),
                withheld=dict(counts.withheld),
                failed=dict(counts.failed),
                epsilon=counts.epsilon,
                delta=counts.delta,
            )
            for node, counts in sorted(self._nodes.items())
        ]


def _add(counter: Counter[str], kind: str) -> None:
    counter[kind if kind in counter or len(counter) < _MAX_KINDS else "other"] += 1
