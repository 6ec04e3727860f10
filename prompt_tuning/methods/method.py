"""What every method has in common: tensors to start from, and the effect of tensors on the frozen model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from frag.types import Place
from prompt_tuning.forward import Forward
from prompt_tuning.kv_cache import KeyValues


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What acts from `place` on, of the dtype of the model.

    `forward` computes what stands behind the place. `tokens` [rows or 1, n, width] are put there; `past` (keys not yet
    rotated, [layers, kv heads, n, head_dim]) is seen from there. At most one of the two is set.
    """

    place: Place
    forward: Forward
    tokens: Tensor | None = field(default=None, repr=False)
    past: KeyValues | None = field(default=None, repr=False)

    @property
    def num_columns(self) -> int:
        """Columns of a cache that the trained part takes."""
        if self.tokens is not None:
            return self.tokens.shape[1]
        return 0 if self.past is None else self.past.num_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What initial tensors are made from. `text_ids` are the tokens of the method's own text, at least one."""

    forward: Forward
    text_ids: Sequence[int]
    vector_width: int
    seed: int

    def generator(self) -> torch.Generator:
        """Seeded; the same seed gives the same tensors on every machine."""
        return torch.Generator().manual_seed(self.seed)


class Method(Protocol):
    """How trainable tensors change a frozen model. Stateless: the same for training, evaluation and serving."""

    @property
    def adds_tokens(self) -> bool:
        """Whether virtual tokens stand at the place; then the answer is predicted from the last of them."""

    @property
    def reads_vectors(self) -> bool:
        """Whether the effect depends on the question's embedding."""

    def initial(self, start: Start) -> dict[str, Tensor]:
        """The tensors that training starts from, float32, in a fixed order."""

    def effect(self, forward: Forward, tensors: Mapping[str, Tensor], vectors: Tensor | None) -> Effect:
        """What `tensors` do. Gradients flow from the effect to the tensors.

        Args:
            forward: The frozen model.
            tensors: Named and shaped as `initial` gives them, float32.
            vectors: Question embeddings [rows, vector_width] where `reads_vectors`, else None.
        """


def cycled(ids: Sequence[int], length: int) -> Tensor:
    """`length` ids, repeated from the start where there are fewer."""
    return torch.tensor([ids[index % len(ids)] for index in range(length)])
