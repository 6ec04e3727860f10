"""A written prompt: the model as it is, told something else. Nothing to train."""

from collections.abc import Mapping

from torch import Tensor

from frag.types import Place
from prompt_tuning.forward import Forward
from prompt_tuning.methods.method import Effect, Start
from prompt_tuning.methods.settings import TemplateSettings


class WrittenTemplate:
    """Implements `Method` without tensors; what differs is the layout of the prompt."""

    adds_tokens = False
    reads_vectors = False

    def __init__(self, settings: TemplateSettings) -> None:
        del settings

    def initial(self, start: Start) -> dict[str, Tensor]:
        del start
        return {}

    def effect(self, forward: Forward, tensors: Mapping[str, Tensor], vectors: Tensor | None) -> Effect:
        del tensors, vectors
        return Effect(place=Place.AFTER, forward=forward)
