"""What happens while a question is under way, typed: the events of `POST /v1/query`."""

from typing import Any

import msgspec

from frag.client.views import Answer
from frag.errors import CoordinatorError


class Accepted(msgspec.Struct, frozen=True):
    """The coordinator has the question."""


class Routed(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asked, and who is enrolled but away."""

    query_id: str
    nodes: list[str]
    absent: list[str] = []


class NodeReplied(msgspec.Struct, frozen=True):
    """`outcome` is `answered`, `withheld`, or the code of a failure."""

    node: str
    outcome: str


class Token(msgspec.Struct, frozen=True):
    """A piece that the coordinator's model has just written. Provisional: a check may still discard all of them.

    With `restart` it stands in the place of all pieces before it.
    """

    text: str
    restart: bool = False

    def __repr__(self) -> str:
        return f"Token({len(self.text)} chars)"


class Settled(msgspec.Struct, frozen=True):
    """A piece that the answer will hold, come what may; the pieces together are its beginning."""

    text: str

    def __repr__(self) -> str:
        return f"Settled({len(self.text)} chars)"


class Aggregated(msgspec.Struct, frozen=True):
    """How the answers were merged, and whose the result rests on."""

    aggregation: str
    contributors: list[str]


class Done(msgspec.Struct, frozen=True):
    """The last one."""

    answer: Answer


Event = Accepted | Routed | NodeReplied | Token | Settled | Aggregated | Done
_KINDS: dict[str, type[Accepted | Routed | NodeReplied | Token | Settled | Aggregated]] = {
    "accepted": Accepted,
    "routed": Routed,
    "node": NodeReplied,
    "token": Token,
    "settled": Settled,
    "aggregated": Aggregated,
}


def to_event(name: str, payload: dict[str, Any]) -> Event | None:
    """The typed event; None for one that this version does not know.

    Raises:
        CoordinatorError: The event says that the question failed.
    """
    if name == "error":
        raise CoordinatorError(payload)
    if name == "done":
        return Done(msgspec.convert(payload, Answer))
    kind = _KINDS.get(name)
    return None if kind is None else msgspec.convert(payload, kind)
