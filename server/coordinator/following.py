"""A merged text while it is written, as events of its question, with the asker's own words in it."""

from collections.abc import Callable, Sequence

from frag.privacy.questions import ScrubbedQuestion
from frag.protocols import Aggregator, FollowedAggregator
from frag.types import Aggregate, NodeAnswer

Emit = Callable[[str, object], None]
"""Called with (event name, JSON-able payload) while a question is under way."""


def silent(_name: str, _payload: object) -> None:
    """An `Emit` that nobody listens to."""


class TextEvents:
    """Emits `token` for what was written and may yet be discarded, `settled` for what the answer begins with.

    Each holds the piece behind those before it; where the writer goes back, `token` starts anew with `restart`.
    """

    def __init__(self, emit: Emit, scrubbed: ScrubbedQuestion) -> None:
        self._emit = emit
        self._scrubbed = scrubbed
        self._written = ""
        self._settled = ""

    def written(self, text: str) -> None:
        text = self._scrubbed.restore(_without_open_placeholder(text))
        if text.startswith(self._written):
            self._tell({"text": text[len(self._written) :]})
        else:
            self._tell({"text": text, "restart": True})
        self._written = text

    def _tell(self, payload: dict[str, object]) -> None:
        if payload["text"]:
            self._emit("token", payload)

    def settled(self, text: str) -> None:
        text = self._scrubbed.restore(text)
        if len(text) > len(self._settled):
            self._emit("settled", {"text": text[len(self._settled) :]})
            self._settled = text


def _without_open_placeholder(text: str) -> str:
    """A placeholder of which only the beginning is written could not be restored."""
    start = text.rfind("<")
    return text if start < 0 or ">" in text[start:] or len(text) - start > 40 else text[:start]


async def followed(
    aggregator: Aggregator,
    question: str,
    answers: Sequence[NodeAnswer],
    scrubbed: ScrubbedQuestion,
    emit: Emit,
) -> Aggregate:
    """The aggregate; its text as events where somebody listens and the method writes one."""
    if emit is silent or not isinstance(aggregator, FollowedAggregator):
        return await aggregator.aggregate(question, answers)
    return await aggregator.aggregate_followed(question, answers, TextEvents(emit, scrubbed))
