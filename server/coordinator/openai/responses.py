"""`POST /v1/responses`: request, answer and events. Nothing is stored, so there is nothing to continue or to fetch."""

import time
import uuid
from typing import Annotated, Any

import msgspec

from frag.settings import CoordinatorSettings
from server.coordinator.answer_views import QueryResponse
from server.coordinator.openai.answers import citations_of, count_words, frag_of, text_of
from server.coordinator.openai.asking import MAX_MESSAGES, Asked, FragFields, Message, Model, refuse, to_query
from server.coordinator.openai.chat import Format


class TextSettings(msgspec.Struct, frozen=True):
    format: Format | None = None


class ResponsesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `POST /v1/responses`. `instructions` and what shapes sampling are accepted and have no effect; so is
    `store`, and the answer says that nothing is stored."""

    model: Model
    input: str | Annotated[list[Message], msgspec.Meta(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool = False
    instructions: str | None = None
    tools: list[Any] | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    background: bool | None = None
    text: TextSettings | None = None
    store: bool | None = None
    frag: FragFields | None = None

    def __repr__(self) -> str:
        return f"ResponsesRequest({self.model})"

    def asked(self, settings: CoordinatorSettings) -> Asked:
        """Raises UnsupportedError, and what `to_query` raises."""
        refuse("tools", self.tools, "Leave tools out; nodes call none.")
        refuse("previous_response_id", self.previous_response_id, "Nothing is stored; send the question by itself.")
        refuse("conversation", self.conversation, "Nothing is stored; send the question by itself.")
        refuse("background", self.background, "Leave it out; stream instead.")
        form = self.text.format if self.text else None
        refuse("text.format", form and form.type != "text", "Ask for text.")
        messages = [Message("user", self.input)] if isinstance(self.input, str) else self.input
        ignored = int(bool(self.instructions))
        return to_query(self.model, messages, self.frag, settings, num_ignored=ignored, stores=bool(self.store))


class Output:
    """The answer under way: whole by `completed`, or event by event."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._id = f"resp_{uuid.uuid4().hex}"
        self._item_id = f"msg_{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._number = -1

    def completed(self, response: QueryResponse) -> dict[str, Any]:
        """The body where nothing is streamed."""
        question, answer = count_words(self._asked.query.question), count_words(text_of(response))
        usage = {
            "input_tokens": question,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": answer,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": question + answer,
        }
        item = self._item("completed", [_part(text_of(response), citations_of(response))])
        shown = {"usage": usage, "frag": frag_of(response, self._asked)}
        return self._body("completed", [item]) | shown

    def begin(self) -> list[dict[str, Any]]:
        body, place = self._body("in_progress", []), self._place()
        return [
            self._event("response.created", response=body),
            self._event("response.in_progress", response=body),
            self._event("response.output_item.added", output_index=0, item=self._item("in_progress", [])),
            self._event("response.content_part.added", **place, part=_part("", [])),
        ]

    def text(self, piece: str) -> dict[str, Any]:
        return self._event("response.output_text.delta", **self._place(), delta=piece, logprobs=[])

    def end(self, response: QueryResponse) -> list[dict[str, Any]]:
        place, whole = self._place(), self.completed(response)
        item = whole["output"][0]
        part = item["content"][0]
        return [
            *(
                self._event("response.output_text.annotation.added", **place, annotation_index=index, annotation=one)
                for index, one in enumerate(part["annotations"])
            ),
            self._event("response.output_text.done", **place, text=part["text"], logprobs=[]),
            self._event("response.content_part.done", **place, part=part),
            self._event("response.output_item.done", output_index=0, item=item),
            self._event("response.completed", response=whole),
        ]

    def failed(self, error: dict[str, Any]) -> dict[str, Any]:
        """The last event where the question failed under way."""
        shown = {"code": error["error"]["code"], "message": error["error"]["message"]}
        return self._event("response.failed", response=self._body("failed", []) | {"error": shown})

    def _event(self, kind: str, **members: Any) -> dict[str, Any]:  # noqa: ANN401
        self._number += 1
        return {"type": kind, "sequence_number": self._number, **members}

    def _place(self) -> dict[str, Any]:
        return {"item_id": self._item_id, "output_index": 0, "content_index": 0}

    def _item(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {"type": "message", "id": self._item_id, "status": status, "role": "assistant", "content": content}

    def _body(self, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "model": self._asked.model,
            "output": output,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "parallel_tool_calls": False,
            "previous_response_id": None,
            "store": False,
            "temperature": None,
            "tool_choice": "none",
            "tools": [],
            "top_p": None,
        }


def _part(text: str, annotations: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": []}
