"""`frag ask --sealed`, from the options of a command to the response."""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.errors import BadRequestError
from frag.types import AnswerMode, RetrievalMode
from server.coordinator.answer_views import QueryResponse, restored
from server.questions import QuestionScrubber
from server.sealed.asker import SealedPlan, ask_sealed
from server.sealed.channel import Coordinator
from server.sealed.keywords import KeywordPlan, ask_keywords_sealed
from server.sealed.trust import Trust, asker_key, asker_key_file
from server.wire.messages import Ask


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedOptions:
    """What was typed."""

    url: str
    api_key: str = field(repr=False)
    tls: ssl.SSLContext | None
    nodes: Sequence[str] | None
    top_k: int
    deadline_s: float
    min_nodes: int
    mode: str
    aggregation: str
    retrieve_only: bool
    roster: Path | None
    operators: Sequence[str]
    asker_key: Path | None
    trust_coordinator: bool
    scrub_question: bool
    dp: str = "decoding"
    candidates: Sequence[str] = ()


def ask_sealed_from_command(question: str, options: SealedOptions) -> dict[str, Any]:
    """The response as JSON types. Blocking.

    Raises:
        FragError: As `ask_sealed`, `Trust.load` and `asker_key` say.
    """
    trust = Trust.load(options.roster, options.operators, trust_coordinator=options.trust_coordinator)
    scrubber = QuestionScrubber("patterns", ner="")
    scrubbed, seen = scrubber.scrub(question, wanted=options.scrub_question)
    ask = make_ask(scrubbed.text, options)
    coordinator = Coordinator(url=options.url, api_key=options.api_key, tls=options.tls)
    key = asker_key(options.asker_key or asker_key_file())
    response = asyncio.run(_asked(coordinator, trust, key, ask, options))
    shown: dict[str, Any] = msgspec.to_builtins(restored(response, scrubbed, seen))
    return shown


async def _asked(
    coordinator: Coordinator, trust: Trust, key: Ed25519PrivateKey, ask: Ask, options: SealedOptions
) -> QueryResponse:
    if options.dp not in {"decoding", "keywords"}:
        raise BadRequestError(f"There is no --dp {options.dp[:40]!r}.", "Use decoding or keywords.")
    if ask.answer_mode is AnswerMode.DP and options.dp == "keywords":
        plan = KeywordPlan(
            question=ask.question,
            words=options.candidates,
            deadline_s=ask.deadline_s,
            min_nodes=options.min_nodes,
            nodes=options.nodes or None,
        )
        return await ask_keywords_sealed(coordinator, trust, key, plan)
    sealed = SealedPlan(nodes=options.nodes or None, aggregation=options.aggregation, min_nodes=options.min_nodes)
    return await ask_sealed(coordinator, trust, key, ask, sealed)


def make_ask(question: str, options: SealedOptions) -> Ask:
    """Raises BadRequestError when a value does not fit; says which, never the question."""
    content = {
        "type": "ask",
        "request_id": 0,
        "question": question,
        "top_k": options.top_k,
        "answer_mode": options.mode,
        "retrieval": RetrievalMode.DENSE,
        "retrieve_only": options.retrieve_only,
        "deadline_s": options.deadline_s,
    }
    try:
        return msgspec.convert(content, Ask)
    except msgspec.ValidationError as error:
        modes = ", ".join(AnswerMode)
        raise BadRequestError(f"The question does not fit: {error}.", f"Modes are {modes}.") from error
