"""`POST /v1/chat/completions`: request, answer and chunks."""

import time
import uuid
from typing import Annotated, Any, Literal

import msgspec

from frag.settings import CoordinatorSettings
from server.coordinator.answer_views import QueryResponse
from server.coordinator.openai.answers import FragView, chat_citations_of, count_words, frag_of, text_of
from server.coordinator.openai.asking import MAX_MESSAGES, Asked, FragFields, Message, Model, refuse, to_query

Messages = Annotated[list[Message], msgspec.Meta(min_length=1, max_length=MAX_MESSAGES)]


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool = False


class Format(msgspec.Struct, frozen=True):
    type: str = "text"


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `POST /v1/chat/completions`. What only shapes sampling or accounting is accepted and has no effect:
    `temperature`, `top_p`, `seed`, `max_tokens`, penalties, `user`, `metadata`; nodes decode as their owners decide.
    `store` is accepted, since many clients set it unasked, and the answer says that nothing is stored."""

    model: Model
    messages: Messages
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    response_format: Format | None = None
    logprobs: bool | None = None
    modalities: list[str] | None = None
    store: bool | None = None
    frag: FragFields | None = None

    def __repr__(self) -> str:
        return f"ChatRequest({self.model}, {len(self.messages)} messages)"

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    def asked(self, settings: CoordinatorSettings) -> Asked:
        """Raises UnsupportedError, and what `to_query` raises."""
        refuse("n", self.n not in (None, 1), "Ask for one answer.")
        refuse("tools", self.tools or self.functions, "Leave tools out; nodes call none.")
        refuse("stop", self.stop, "Leave it out; cut the answer yourself.")
        refuse("logprobs", self.logprobs, "Leave it out.")
        refuse("modalities", set(self.modalities or ()) - {"text"}, "Ask for text.")
        refuse("response_format", self.response_format and self.response_format.type != "text", "Ask for text.")
        return to_query(self.model, self.messages, self.frag, settings, stores=bool(self.store))


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """In words and signs of question and answer, not in tokens of a model."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatMessage(msgspec.Struct, frozen=True, kw_only=True):
    content: str
    annotations: list[Any]
    role: Literal["assistant"] = "assistant"
    refusal: None = None

    def __repr__(self) -> str:
        return f"ChatMessage({len(self.content)} chars)"


class ChatChoice(msgspec.Struct, frozen=True, kw_only=True):
    message: ChatMessage
    index: int = 0
    finish_reason: Literal["stop"] = "stop"
    logprobs: None = None


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """Body of the answer."""

    id: str
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    frag: FragView
    object: Literal["chat.completion"] = "chat.completion"


def usage_of(asked: Asked, response: QueryResponse) -> Usage:
    question, answer = count_words(asked.query.question), count_words(text_of(response))
    return Usage(prompt_tokens=question, completion_tokens=answer, total_tokens=question + answer)


def completion(asked: Asked, response: QueryResponse) -> ChatCompletion:
    """The whole answer."""
    message = ChatMessage(content=text_of(response), annotations=list(chat_citations_of(response)))
    return ChatCompletion(
        id=f"chatcmpl-{response.query_id}",
        created=int(time.time()),
        model=asked.model,
        choices=[ChatChoice(message=message)],
        usage=usage_of(asked, response),
        frag=frag_of(response, asked),
    )


class Chunks:
    """The same answer as chunks, in the order of the methods; `text` as often as there is some."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": asked.model,
        }

    def begin(self) -> dict[str, Any]:
        return self._chunk({"role": "assistant", "content": ""})

    def text(self, piece: str) -> dict[str, Any]:
        return self._chunk({"content": piece})

    def end(self, response: QueryResponse) -> dict[str, Any]:
        citations = chat_citations_of(response)
        delta = {"annotations": citations} if citations else {}
        return self._chunk(delta, "stop") | {"frag": frag_of(response, self._asked)}

    def usage(self, response: QueryResponse) -> dict[str, Any]:
        """Comes last, and only when it is asked for."""
        return self._head | {"choices": [], "usage": usage_of(self._asked, response)}

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return self._head | {"choices": [choice]}
