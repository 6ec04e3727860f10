"""LoRA: low-rank changes of linear layers, ΔW = (α / r) B A.

The mean of B_k A_k over nodes is not the product of the means. With A frozen at its common seeded start the change is
linear in what is trained, and federated averaging is exact; that is the default. Training A too is allowed and then
approximate.

Source: Hu et al. 2021, "LoRA", §4.1; Sun et al. 2024, "Improving LoRA in Privacy-preserving Federated
Learning" (FFA-LoRA).
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from frag.errors import ModelError
from frag.sampling import derive_seed
from prompt_tuning.forward import Forward
from prompt_tuning.methods.method import Effect, Start
from prompt_tuning.methods.settings import LoraSettings
from prompt_tuning.packed_linear import LowRank


class Lora:
    """Trains `<layer>.up` [out, r] and, unless it is frozen, `<layer>.down` [r, in] of every named linear layer."""

    adds_tokens = False
    reads_vectors = False

    def __init__(self, settings: LoraSettings) -> None:
        self._settings = settings
        self._frozen: dict[str, Tensor] = {}

    def initial(self, start: Start) -> dict[str, Tensor]:
        tensors = {}
        for name, (num_out, num_in) in self._layers(start.forward).items():
            tensors[f"{name}.up"] = torch.zeros(num_out, self._settings.rank)
            if not self._settings.freeze_down:
                tensors[f"{name}.down"] = frozen_down(name, self._settings.rank, num_in)
        return tensors

    def effect(self, forward: Forward, tensors: Mapping[str, Tensor], vectors: Tensor | None) -> Effect:
        del vectors
        dtype = forward.cache_shape.dtype
        scale = self._settings.alpha / self._settings.rank
        changes = {
            name: LowRank(self._down_of(name, num_in, tensors).to(dtype), (scale * tensors[f"{name}.up"]).to(dtype))
            for name, (_, num_in) in self._layers(forward).items()
        }
        return Effect(place=self._settings.place, forward=forward.with_low_rank(changes))

    def _layers(self, forward: Forward) -> dict[str, tuple[int, int]]:
        wanted = set(self._settings.layers)
        found = {name: shape for name, shape in forward.linear_shapes().items() if name.rpartition(".")[2] in wanted}
        if not found:
            raise ModelError(f"The model has no linear layer named {' or '.join(sorted(wanted))}.", "Mend `layers`.")
        return found

    def _down_of(self, name: str, num_in: int, tensors: Mapping[str, Tensor]) -> Tensor:
        if not self._settings.freeze_down:
            return tensors[f"{name}.down"]
        if name not in self._frozen:
            self._frozen[name] = frozen_down(name, self._settings.rank, num_in)
        return self._frozen[name]


def frozen_down(name: str, rank: int, num_in: int) -> Tensor:
    """A of a layer, [rank, in]: the same on every node, whatever the job's seed, so that it need not travel."""
    generator = torch.Generator().manual_seed(derive_seed(0, "lora", name))
    return torch.randn(rank, num_in, generator=generator) / math.sqrt(num_in)
