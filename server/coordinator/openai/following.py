"""Streams only what will not be taken back.

OpenAI's stream has no event that withdraws text. A synthesised answer is checked by a guard, which may discard what the
model wrote; so a sentence is sent when the guard can no longer take it back (`settled`), and the rest with the answer.
`POST /v1/query` streams every token at once and marks it as provisional; that form has a word for it.
"""

from collections.abc import Callable
from typing import Any

from server.coordinator.answer_views import QueryResponse
from server.coordinator.openai.answers import text_of
from server.coordinator.openai.asking import Asked
from server.coordinator.state import CoordinatorState

Tell = Callable[[str], None]


async def answered(state: CoordinatorState, asked: Asked, tell: Tell) -> QueryResponse:
    """The response; `tell` gets its text piece by piece, all of it by the end."""
    told = ""

    def emit(name: str, payload: Any) -> None:  # noqa: ANN401 - events have no common type
        nonlocal told
        if name == "settled":
            told += payload["text"]
            tell(payload["text"])

    response = await state.query.answer(asked.query, emit)
    state.log_query(asked.query, response)
    text = text_of(response)
    if not text.startswith(told):
        raise RuntimeError("a settled text was taken back")
    if rest := text[len(told) :]:
        tell(rest)
    return response
