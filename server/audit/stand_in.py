"""Language models for attacks: they write what a rule says, at once and whatever the limit on the length."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

from frag.protocols import TextListener
from frag.types import Adaptation, Generation, GenerationRequest


class StandIn(ABC):
    """Implements `frag.protocols.LanguageModel`."""

    name: str

    @abstractmethod
    def written(self, request: GenerationRequest) -> str:
        """What it answers."""

    def check(self, adaptation: Adaptation) -> None:  # noqa: B027 - not abstract: any adaptation will do
        """Takes any."""

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        is_cancelled: Callable[[int], bool] = lambda _row: False,
        adaptation: Adaptation | None = None,
        listeners: Mapping[int, TextListener] | None = None,
    ) -> list[Generation]:
        """As `written` says, quite sure of it."""
        del is_cancelled, adaptation, listeners
        return [
            Generation(text=self.written(request), token_logprob=-0.01, num_prompt_tokens=1, num_new_tokens=1)
            for request in requests
        ]
