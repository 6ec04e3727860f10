"""What an update tells of the tokens behind it: scores of candidates, from an update alone and public weights.

LoRA trains B of ΔW = B A with A public. In the first layer the input of a token is its normed embedding x, whatever
stands around it, so the gradient of B is Σ g (A x)ᵀ: its rows lie in the span of the A x of the tokens that were
trained on. With fewer such tokens than the rank, membership of a candidate in that span can be checked exactly.

Source: Petrov et al. 2024, "DAGER: Exact Gradient Inversion for Large Language Models", §4 (span check).
"""

from collections.abc import Collection, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from frag.updates import Weights
from prompt_tuning.language_model import TransformersLanguageModel

_LAYER = "model.layers.0.self_attn"
_PARTS = ("q_proj", "k_proj", "v_proj")
_NOISE = 1.5e-3
"""Singular values below this share of the largest are rounding of bfloat16."""
Scores = npt.NDArray[np.float64]


class SpanAttack:
    """Scores every token of the vocabulary against an update of B in the first layer.

    Args:
        model: Its weights are public.
        rank: Of the job's LoRA.
        known: Tokens that anybody knows to be there, such as the last one of every prompt.
    """

    def __init__(self, model: TransformersLanguageModel, rank: int, known: Collection[int]) -> None:
        self._weights = model.forward.weights()
        self._rank = rank
        self._known = sorted(known)

    @cached_property
    def _parts(self) -> dict[str, tuple[Scores, Scores]]:
        """By layer: A x of every token off the known ones, rows of norm 1, and the projection that takes those out."""
        from torch.nn import functional

        from prompt_tuning.methods.lora import frozen_down

        norm = self._weights["model.layers.0.input_layernorm.weight"].float()
        inputs = functional.rms_norm(self._weights["model.embed_tokens.weight"].float(), norm.shape, norm, 1e-5)
        found = {}
        for part in _PARTS:
            narrow = (inputs @ frozen_down(f"{_LAYER}.{part}", self._rank, inputs.shape[1]).T).double().numpy()
            basis, _ = np.linalg.qr(narrow[self._known].T)
            rest = np.eye(self._rank) - basis @ basis.T
            narrow = narrow @ rest
            found[part] = narrow / np.linalg.norm(narrow, axis=1, keepdims=True).clip(1e-12), rest
        return found

    def scores(self, update: Weights) -> Scores:
        """[vocabulary] in [0, 1]; 1 for a token whose A x lies in the span of the update's rows, in all layers."""
        total = np.zeros(len(self._parts[_PARTS[0]][0]))
        for part, (narrow, rest) in self._parts.items():
            rows = update[f"{_LAYER}.{part}.up"].astype(np.float64)
            floor = _NOISE * float(np.linalg.norm(rows, 2))
            _, sizes, directions = np.linalg.svd(rows @ rest, full_matrices=False)
            seen = sizes > max(floor, 1e-30)
            # a full span tells nothing by itself; then strong directions count for more
            is_full = seen.sum() >= self._rank - len(self._known)
            weights = sizes / sizes[0] if is_full else seen.astype(np.float64)
            total += np.square(narrow @ directions.T) @ weights / len(_PARTS)
        return total


def best_tokens(scores: Scores, number: int, known: Collection[int]) -> list[int]:
    """The `number` best tokens but for those that anybody knows to be there."""
    order = [int(token) for token in np.argsort(-scores, kind="stable")[: number + len(known)]]
    return [token for token in order if token not in known][:number]


def num_recovered(guesses: Sequence[int], truth: Collection[int]) -> int:
    """Right guesses; with as many guesses as truths, this over their number is precision, recall and F1 at once."""
    return len(set(guesses) & set(truth))
