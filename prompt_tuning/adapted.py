"""Adaptations ready to answer with: checked against the model once, torch tensors kept, the last few by version."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from frag.errors import BadRequestError, ModelError
from frag.types import Adaptation, GenerationRequest
from prompt_tuning.adaptation_file import method_settings
from prompt_tuning.forward import Forward
from prompt_tuning.methods import make_method
from prompt_tuning.methods.method import Effect

_MAX_KEPT = 3


class AdaptedEffects:
    """The effects of adaptations on one model.

    Args:
        forward: The frozen model.
        base_model: Its fingerprint.
        layout: Fingerprint of its token layout.
    """

    def __init__(self, forward: Forward, base_model: str, layout: str) -> None:
        self._forward = forward
        self._base_model = base_model
        self._layout = layout
        self._kept: OrderedDict[int, tuple[Adaptation, _Ready]] = OrderedDict()

    def check(self, adaptation: Adaptation) -> None:
        """Raises ModelError when the adaptation was trained for something else, or its tensors do not fit.

        A template is mere text and fits every model.
        """
        if adaptation.method == "template":
            return
        if adaptation.base_model != self._base_model:
            raise ModelError("The prompt was trained for another base model.", "Train one for this model.")
        if adaptation.layout != self._layout:
            raise ModelError("The prompt was trained for another token layout.", "Train it again.")
        self._ready(adaptation).try_out(self._forward)

    def effect(self, adaptation: Adaptation, requests: Sequence[GenerationRequest]) -> Effect | None:
        """What the adaptation does to a batch; None for a mere template.

        Raises:
            BadRequestError: The method reads question vectors and a request has none.
        """
        if adaptation.method == "template":
            return None
        return self._ready(adaptation).effect(self._forward, requests)

    def _ready(self, adaptation: Adaptation) -> "_Ready":
        key = id(adaptation)
        if key not in self._kept:
            self._kept[key] = (adaptation, _Ready(adaptation))
            if len(self._kept) > _MAX_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key][1]


class _Ready:
    """One adaptation as tensors. An effect that no question changes is made once."""

    def __init__(self, adaptation: Adaptation) -> None:
        self._method = make_method(method_settings(adaptation))
        self._tensors: dict[str, Tensor] = {
            name: torch.from_numpy(np.array(value)) for name, value in adaptation.tensors.items()
        }
        self._effect: Effect | None = None

    def effect(self, forward: Forward, requests: Sequence[GenerationRequest]) -> Effect:
        if self._method.reads_vectors:
            vectors = [request.question_vector for request in requests]
            known = [vector for vector in vectors if vector is not None]
            if len(known) < len(vectors):
                raise BadRequestError("The live prompt is generated from the question's embedding.", "Give it.")
            return self._made(forward, torch.from_numpy(np.stack(known).astype(np.float32)))
        if self._effect is None:
            self._effect = self._made(forward, None)
        return self._effect

    def _made(self, forward: Forward, vectors: Tensor | None) -> Effect:
        with torch.inference_mode():
            return self._method.effect(forward, self._tensors, vectors)

    def try_out(self, forward: Forward) -> None:
        """Raises ModelError when names or shapes are not those that the method has on this model."""
        try:
            width = self._tensors["into.weight"].shape[1] if self._method.reads_vectors else 0
            effect = self._made(forward, torch.zeros(1, width) if width else None)
            shape = forward.cache_shape
            token_width = forward.embed(torch.tensor([0])).shape[-1]
            fits = effect.tokens is None or effect.tokens.shape[-1] == token_width
            past = effect.past
            if past is not None:
                sizes = (shape.num_layers, shape.num_key_value_heads, past.num_tokens, shape.head_dim)
                fits = past.keys.shape == past.values.shape == sizes
        except (KeyError, IndexError, RuntimeError) as error:
            raise ModelError("The prompt's tensors do not fit its method.", "Train it again.") from error
        if not fits:
            raise ModelError("The prompt's tensors do not fit this model.", "Train it again.")
