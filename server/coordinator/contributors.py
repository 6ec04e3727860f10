"""Which nodes the newest answers rest on, in memory alone."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

from frag.types import AnswerMode
from server.coordinator.answer_views import QueryResponse

MAX_REMEMBERED = 20_000


class Known(NamedTuple):
    """The nodes that an answer rests on, and its mode."""

    nodes: tuple[str, ...]
    mode: AnswerMode


@dataclass(slots=True)
class Contributors:
    """Which nodes the newest answers rest on, by query id."""

    max_entries: int = MAX_REMEMBERED
    _known: OrderedDict[str, Known] = field(default_factory=OrderedDict)

    def note(self, answered: QueryResponse) -> None:
        """Remembers an answer that is about to be sent."""
        nodes = tuple(view.node for view in answered.answered if view.contributed)
        self._known[answered.query_id] = Known(nodes, answered.answer_mode)
        while len(self._known) > self.max_entries:
            self._known.popitem(last=False)

    def of(self, query_id: str) -> Known | None:
        """None for an id that is too old, or was never one."""
        return self._known.get(query_id)
