"""A language model for quick runs: it answers with the first sentence that it is shown, and obeys no order but by
repeating it."""

from collections.abc import Callable, Mapping, Sequence

from frag.answers.statements import statements
from frag.protocols import TextListener
from frag.types import Adaptation, Generation, GenerationRequest


class FirstSentenceModel:
    """Implements `frag.protocols.LanguageModel`."""

    name = "first-sentence"

    def check(self, adaptation: Adaptation) -> None:
        """Takes any."""

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        is_cancelled: Callable[[int], bool] = lambda _row: False,
        adaptation: Adaptation | None = None,
        listeners: Mapping[int, TextListener] | None = None,
    ) -> list[Generation]:
        """The first sentence of the passages, whatever the question."""
        del is_cancelled, adaptation, listeners
        return [
            Generation(text=_first(request), token_logprob=-0.1, num_prompt_tokens=1, num_new_tokens=1)
            for request in requests
        ]


def _first(request: GenerationRequest) -> str:
    found = statements(" ".join(request.passages))
    return found[0] if found else ""
