"""One node's part of a round: some steps on its own examples, from the weights that were broadcast.

Knows nothing of rounds, nodes or networks. The same examples, weights, seed and threads give the same bits.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from frag.errors import FragError
from frag.updates import Weights
from prompt_tuning.batches import Batches

if TYPE_CHECKING:
    from torch import Tensor

    from prompt_tuning.trainable import Prepared, Trainable


class TrainingCancelledError(FragError):
    """Somebody asked to stop; what was trained so far is dropped."""

    code, http_status, exit_code = "training_cancelled", 409, 130


class LocalSettings(BaseModel):
    """How a node trains in one round."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(20, ge=1, le=100_000, description="optimiser steps of a round")
    batch_size: int = Field(16, ge=1, le=4096, description="examples of a step")
    micro_batch_size: int = Field(16, ge=1, le=4096, description="examples computed together; gradients accumulate")
    learning_rate: float = Field(2e-3, gt=0, lt=10, allow_inf_nan=False)
    warmup_steps: int = Field(10, ge=0, description="over the whole job")
    decay: Literal["cosine", "linear", "constant"] = "cosine"
    final_share: float = Field(0.05, ge=0, le=1, description="of the learning rate, at the job's last step")
    weight_decay: float = Field(0.0, ge=0, lt=1)
    clip_norm: float = Field(1.0, gt=0, description="bound on the norm of a step's gradient")
    validate_every: int = Field(0, ge=0, description="steps between looks at the validation share; 0: never")
    patience: Annotated[int, Field(ge=1)] = Field(3, description="looks without improvement before stopping early")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Where this round stands in the job: the learning rate follows the global step."""

    first_step: int
    total_steps: int

    def learning_rate(self, settings: LocalSettings, local_step: int) -> float:
        """Linear warm-up, then decay to `final_share` at the last step."""
        step = self.first_step + local_step
        warm = min(1.0, (step + 1) / max(1, settings.warmup_steps))
        progress = min(1.0, step / max(1, self.total_steps))
        shape = {
            "cosine": 0.5 * (1 + math.cos(math.pi * progress)),
            "linear": 1 - progress,
            "constant": 1.0,
        }[settings.decay]
        return settings.learning_rate * warm * (settings.final_share + (1 - settings.final_share) * shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """New weights, and what was seen on the way."""

    weights: Weights = field(repr=False)
    num_examples: int
    num_steps: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What keeps a run from forgetting: old examples to replay, and the weights to stay near to.

    `share` of a batch are old examples; `anchor_mu` is μ of μ/2 ‖w − w_anchor‖² (FedProx's term, towards the weights
    that the run started from instead of the round's).
    """

    old: "Sequence[Prepared]" = field(default=(), repr=False)
    share: float = 0.0
    anchor: Weights = field(default_factory=dict, repr=False)
    anchor_mu: float = 0.0


NOTHING_REMEMBERED = Remembered()

OnStep = Callable[[int, float], None]
"""Called with (steps done, loss of the last)."""


def train(
    trainable: "Trainable",
    weights: Weights,
    examples: "Sequence[Prepared]",
    settings: LocalSettings,
    schedule: Schedule,
    *,
    seed: int,
    proximal_mu: float = 0.0,
    validation: "Sequence[Prepared]" = (),
    remembered: Remembered = NOTHING_REMEMBERED,
    on_step: OnStep = lambda _step, _loss: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Trained:
    """AdamW from `weights` on `examples`; a step whose loss or gradient is not finite is left out.

    With `remembered`, old examples come into every batch, and the weights are held near an anchor.
    With `proximal_mu`, μ/2 ‖w − w_0‖² is added to the loss (Li et al. 2020, "FedProx", eq. 2).

    Raises:
        TrainingCancelledError: `is_cancelled` said so between two steps.
        ValueError: There are no examples.
    """
    import torch

    tensors = {name: torch.from_numpy(np.array(weight)).requires_grad_() for name, weight in weights.items()}
    optimizer = torch.optim.AdamW(
        list(tensors.values()), lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=settings.weight_decay
    )
    batches = Batches(examples, remembered.old, remembered.share, settings.batch_size, seed)
    best = _Best(settings.patience)
    losses: list[float] = []
    num_skipped = 0
    for step in range(settings.steps):
        if is_cancelled():
            raise TrainingCancelledError("Training was cancelled.")
        optimizer.param_groups[0]["lr"] = schedule.learning_rate(settings, step)
        loss = accumulate(trainable, tensors, batches.next(), settings.micro_batch_size)
        if proximal_mu:
            pull_back(tensors, weights, proximal_mu)
        if remembered.anchor_mu:
            pull_back(tensors, remembered.anchor, remembered.anchor_mu)
        if not _clip(tensors, settings.clip_norm) or not math.isfinite(loss):
            num_skipped += 1
        else:
            optimizer.step()
            losses.append(loss)
        optimizer.zero_grad()
        on_step(step + 1, loss)
        if _is_due(settings, step) and validation and best.is_enough(trainable, tensors, validation):
            break
    final = best.tensors or tensors
    return Trained(
        weights={name: tensor.detach().numpy().copy() for name, tensor in final.items()},
        num_examples=len(examples) + len(remembered.old),
        num_steps=step + 1,
        metrics={"loss": float(np.mean(losses)) if losses else math.nan, "skipped_steps": float(num_skipped)},
    )


def accumulate(
    trainable: "Trainable", tensors: "Mapping[str, Tensor]", batch: "Sequence[Prepared]", micro_batch_size: int
) -> float:
    """Adds the gradient of the mean loss per token of the whole batch; returns that loss."""
    import torch

    num_tokens = sum(example.num_labels for example in batch)
    total = 0.0
    for start in range(0, len(batch), micro_batch_size):
        part = batch[start : start + micro_batch_size]
        loss = trainable.summed_loss(tensors, part) / num_tokens
        torch.autograd.backward(loss)
        total += loss.item()
    return total


def pull_back(tensors: "Mapping[str, Tensor]", weights: Weights, mu: float) -> None:
    """Adds the gradient of the proximal term."""
    import torch

    for name, tensor in tensors.items():
        if tensor.grad is not None:
            tensor.grad += mu * (tensor.detach() - torch.from_numpy(np.array(weights[name])))


def _clip(tensors: "Mapping[str, Tensor]", limit: float) -> bool:
    """Bounds the gradient's norm; False when it is not finite."""
    import torch

    return bool(torch.nn.utils.clip_grad_norm_(list(tensors.values()), limit).isfinite())


def _is_due(settings: LocalSettings, step: int) -> bool:
    return settings.validate_every > 0 and (step + 1) % settings.validate_every == 0


class _Best:
    """The tensors with the lowest validation loss so far."""

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._loss = math.inf
        self._worse = 0
        self.tensors: dict[str, Tensor] = {}

    def is_enough(
        self, trainable: "Trainable", tensors: "Mapping[str, Tensor]", validation: "Sequence[Prepared]"
    ) -> bool:
        """Looks once; True after `patience` looks without improvement."""
        loss = trainable.mean_loss(tensors, validation)
        if loss < self._loss:
            self._loss, self._worse = loss, 0
            self.tensors = {name: tensor.detach().clone() for name, tensor in tensors.items()}
            return False
        self._worse += 1
        return self._worse >= self._patience
