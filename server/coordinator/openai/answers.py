"""What both forms of answer have in common: the text, its citations, its length, and the member `frag`."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from frag.types import AnswerMode
from frag.wording import why_nothing
from server.coordinator.answer_views import AnsweredView, FailedView, QueryResponse, WithheldView
from server.coordinator.keyword_response import KeywordResponse, KeywordView
from server.coordinator.openai.asking import Asked
from server.questions import QuestionView

NO_SUPPORT = "No statement has enough support."
_NOT_STORED = "Nothing was stored: this answer cannot be fetched, listed or continued later."
_WORD = re.compile(r"\w+|[^\w\s]")


class FragView(msgspec.Struct, frozen=True, kw_only=True):
    """The member `frag` of an answer: who answered, what was withheld, what is promised."""

    query_id: str
    found: bool
    answer_mode: AnswerMode
    aggregation: str
    nodes: list[AnsweredView]
    withheld: list[WithheldView]
    failed: list[FailedView]
    not_asked: list[str]
    question: QuestionView
    timings: dict[str, float]
    promise: str
    note: str
    messages_ignored: int
    keywords: list[KeywordView] | None = None


def text_of(response: QueryResponse) -> str:
    """The answer, or a sentence that says why there is none: chat clients show nothing but text."""
    if response.answer is not None:
        return response.answer
    if response.answer_mode is AnswerMode.CONSENSUS and response.answered:
        return NO_SUPPORT
    return why_nothing([view.reason for view in response.withheld], len(response.failed))


def frag_of(response: QueryResponse, asked: Asked) -> FragView:
    """All but the text."""
    return FragView(
        query_id=response.query_id,
        found=response.answer is not None,
        answer_mode=response.answer_mode,
        aggregation=response.aggregation,
        nodes=response.answered,
        withheld=response.withheld,
        failed=response.failed,
        not_asked=response.not_asked,
        question=response.question,
        timings=response.timings,
        promise=response.promise,
        note=_note(response.note, asked),
        messages_ignored=asked.num_ignored,
        keywords=response.keywords if isinstance(response, KeywordResponse) else None,
    )


def _note(note: str, asked: Asked) -> str:
    parts = [note] if note else []
    if asked.num_ignored:
        left_out = "earlier message was" if asked.num_ignored == 1 else "earlier messages were"
        parts.append(f"{asked.num_ignored} {left_out} not sent to nodes; the last one is the question.")
    if asked.stores:
        parts.append(_NOT_STORED)
    return " ".join(parts)


def citations_of(response: QueryResponse) -> list[dict[str, Any]]:
    """Sources of the nodes whose answers it rests on, as `url_citation`, over the whole text.

    The address names node and pseudonym and leads nowhere: documents stay with their owners.
    """
    end = len(response.answer or "")
    return [
        {
            "type": "url_citation",
            "start_index": 0,
            "end_index": end,
            "title": f"{view.node}: document {citation.document}",
            "url": f"urn:frag:{quote(view.node)}:{quote(citation.document)}",
        }
        for view in response.answered
        if view.contributed
        for citation in view.citations
    ]


def chat_citations_of(response: QueryResponse) -> list[Mapping[str, Any]]:
    """The same as chat completions have them."""
    return [
        {"type": "url_citation", "url_citation": {name: value for name, value in citation.items() if name != "type"}}
        for citation in citations_of(response)
    ]


def count_words(text: str) -> int:
    """Words and signs: nodes do not tell the tokens of their models, and hold different ones."""
    return len(_WORD.findall(text))
