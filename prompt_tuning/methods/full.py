"""All weights of the model: fine-tuning and pre-training as they are everywhere else."""

from collections.abc import Mapping

from torch import Tensor

from prompt_tuning.forward import Forward
from prompt_tuning.methods.method import Effect, Start
from prompt_tuning.methods.settings import FullSettings


class Full:
    """Trains every parameter, named as in transformers."""

    adds_tokens = False
    reads_vectors = False

    def __init__(self, settings: FullSettings) -> None:
        self._settings = settings

    def initial(self, start: Start) -> dict[str, Tensor]:
        return {name: weight.detach().float().clone() for name, weight in start.forward.weights().items()}

    def effect(self, forward: Forward, tensors: Mapping[str, Tensor], vectors: Tensor | None) -> Effect:
        del vectors
        dtype = forward.cache_shape.dtype
        changed = forward.with_weights({name: tensor.to(dtype) for name, tensor in tensors.items()})
        return Effect(place=self._settings.place, forward=changed)
