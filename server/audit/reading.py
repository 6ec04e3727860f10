"""Looks over a language model's shoulder: which passages it was given for which question."""

from collections.abc import Callable, Mapping, Sequence

from frag.protocols import LanguageModel, TextListener
from frag.types import Adaptation, Generation, GenerationRequest


class Reading:
    """Remembers what models made by `of` have read."""

    def __init__(self) -> None:
        self._read: dict[str, str] = {}

    def of(self, model: LanguageModel) -> LanguageModel:
        """The same model, watched."""
        return _Watched(model, self._read)

    def passages(self, question: str) -> str:
        """All passages that were put with a question, as one text; empty where it never came to a model."""
        return self._read.get(question, "")


class _Watched:
    """Implements `frag.protocols.LanguageModel`."""

    def __init__(self, model: LanguageModel, read: dict[str, str]) -> None:
        self._model = model
        self._read = read
        self.name = model.name

    def check(self, adaptation: Adaptation) -> None:
        self._model.check(adaptation)

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        is_cancelled: Callable[[int], bool] = lambda _row: False,
        adaptation: Adaptation | None = None,
        listeners: Mapping[int, TextListener] | None = None,
    ) -> list[Generation]:
        self._read.update((request.question, " ".join(request.passages)) for request in requests)
        return self._model.generate(requests, is_cancelled, adaptation, listeners)
