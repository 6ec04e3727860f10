"""What both forms of request have in common: the question in them, and what a federation cannot do.

The last user message is the question. Earlier messages are not sent to nodes, and the answer says how many were left
out: they may quote answers of other nodes, which no node should be shown, and nodes search for one question.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from frag.errors import BadRequestError
from frag.settings import CoordinatorSettings
from server.coordinator.openai.errors import UnsupportedError
from server.coordinator.openai.models import fields_of
from server.coordinator.query import Method, QueryRequest
from server.wire.messages import MAX_QUESTION_CHARS

MAX_MESSAGES = 2000
Model = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_TEXT_PARTS = frozenset({"text", "input_text"})


class Part(msgspec.Struct, frozen=True):
    """A piece of a message; only text is taken."""

    type: str
    text: str = ""

    def __repr__(self) -> str:
        return f"Part({self.type}, {len(self.text)} chars)"


class Message(msgspec.Struct, frozen=True):
    """A turn of a conversation. Other members (`name`, `tool_calls`, …) are not looked at."""

    role: str = ""
    content: str | list[Part] | None = None
    type: str = "message"

    def __repr__(self) -> str:
        return f"Message({self.role})"


class FragFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The member `frag` of a request: fields of `POST /v1/query` that a model name does not say."""

    top_k: Annotated[int, msgspec.Meta(ge=1, le=100)] | msgspec.UnsetType = msgspec.UNSET
    deadline_s: Annotated[float, msgspec.Meta(gt=0, le=600)] | msgspec.UnsetType = msgspec.UNSET
    min_nodes: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | msgspec.UnsetType = msgspec.UNSET
    nodes: Annotated[list[str], msgspec.Meta(min_length=1, max_length=10_000)] | msgspec.UnsetType = msgspec.UNSET
    aggregation: Method | msgspec.UnsetType = msgspec.UNSET
    min_support: Annotated[int, msgspec.Meta(ge=2, le=10_000)] | msgspec.UnsetType = msgspec.UNSET
    route: str | msgspec.UnsetType = msgspec.UNSET
    scrub_question: bool | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as the federation takes it, how many messages of the request were left out, and `store` of it."""

    query: QueryRequest
    model: str
    num_ignored: int
    stores: bool = False


def to_query(
    model: str,
    messages: Sequence[Message],
    more: FragFields | None,
    settings: CoordinatorSettings,
    num_ignored: int = 0,
    *,
    stores: bool = False,
) -> Asked:
    """The query behind a request; `stores` is what it says to `store`.

    Raises:
        UnknownModelError: There is no such model here.
        BadRequestError: No question, or one too long; a message that is not text; or fields that do not fit.
    """
    fields: dict[str, Any] = fields_of(model, settings) | (msgspec.to_builtins(more) if more else {})
    fields["question"] = _question(messages)
    try:
        query = msgspec.convert(fields, QueryRequest)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"The member frag does not fit: {error}.", "Mend it.", param="frag") from error
    return Asked(query, model, num_ignored + len(messages) - 1, stores)


def refuse(param: str, value: object, mend: str) -> None:
    """Raises UnsupportedError unless `value` is absent or says that the thing is not wanted."""
    if value:
        raise UnsupportedError(param, f"{param} is not supported by a federation.", mend)


def _question(messages: Sequence[Message]) -> str:
    last = messages[-1] if messages else None
    if last is None or last.role != "user" or last.type != "message":
        raise BadRequestError("The last message is not the user's.", "Put the question last.", param="messages")
    question = _text(last).strip()
    if not question:
        raise BadRequestError("The last message holds no question.", "Write one.", param="messages")
    if len(question) > MAX_QUESTION_CHARS:
        raise BadRequestError(
            f"The question has {len(question)} characters, over {MAX_QUESTION_CHARS}.", "Shorten it.", param="messages"
        )
    return question


def _text(message: Message) -> str:
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    for part in message.content:
        if part.type not in _TEXT_PARTS:
            raise UnsupportedError(
                "messages", f"Content of type {part.type[:40]!r} is not supported by a federation.", "Send text alone."
            )
    return "\n".join(part.text for part in message.content)
