"""DP-SGD: one node's part of a round in which no unit of its examples shows.

Knows nothing of budgets: what the steps cost follows from σ, the rate and their number, which are fixed before.

Source: Abadi et al. 2016, "Deep Learning with Differential Privacy", Algorithm 1.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from frag.errors import LedgerError
from frag.privacy.accounting import plan_epsilon
from frag.privacy.draws import Floats, SecretDraws
from frag.privacy.noised_sum import clipped, noised_mean, taking_part
from frag.updates import Weights, flattened, unflattened
from prompt_tuning.dataset import Example, Objective
from prompt_tuning.job import JobSettings
from prompt_tuning.local_training import LocalSettings, Schedule, Trained, TrainingCancelledError, accumulate, pull_back
from prompt_tuning.privacy import RecordPrivacySettings

if TYPE_CHECKING:
    from torch import Tensor

    from prompt_tuning.trainable import Prepared, Trainable

Unit = Sequence["Prepared"]
"""What one unit has, as examples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mechanism:
    """What is fixed and public before any example is looked at.

    `num_units` is N, `batch_size` is B ≤ N; each unit takes part in a step with q = B / N.
    """

    noise_multiplier: float
    clip_norm: float
    num_units: int
    batch_size: int

    @classmethod
    def of(cls, job: JobSettings, num_units: int) -> "Mechanism":
        """That of a job at a node with so many units. Raises TypeError when the job is of another mode."""
        if not isinstance(job.privacy, RecordPrivacySettings):
            raise TypeError(f"{job.privacy.mode} is not record-level")
        return cls(
            noise_multiplier=job.privacy.noise_multiplier,
            clip_norm=job.privacy.clip_norm,
            num_units=job.privacy.units or public_number(num_units),
            batch_size=job.local.batch_size,
        )

    @property
    def rate(self) -> float:
        return min(1.0, self.batch_size / self.num_units)

    @property
    def expected(self) -> float:
        """q N, by which the noised sum is divided."""
        return self.rate * self.num_units


def public_number(num_units: int) -> int:
    """The N that a node is taken to have where the job names none: its units, rounded down to two digits."""
    step: int = 10 ** max(0, len(str(num_units)) - 2)
    return max(1, num_units // step * step)


def planned_epsilon(job: JobSettings, num_units: int) -> float:
    """ε of all R · E steps of the job at a node with so many units, by PLD. Takes up to seconds.

    Raises:
        LedgerError: It is over the job's budget, or δ allows to publish a whole unit.
    """
    mechanism, privacy = Mechanism.of(job, num_units), job.privacy
    if not isinstance(privacy, RecordPrivacySettings):
        raise TypeError(f"{privacy.mode} is not record-level")
    if privacy.delta * mechanism.num_units > 1:
        raise LedgerError(
            f"δ = {privacy.delta:g} is over 1 in {mechanism.num_units:,} units.", "Use a smaller privacy.delta."
        )
    epsilon = plan_epsilon(mechanism.noise_multiplier, mechanism.rate, job.total_steps, privacy.delta)
    if epsilon > privacy.max_epsilon:
        raise LedgerError(
            f"{job.total_steps} steps over {mechanism.num_units:,} units cost ε = {epsilon:.3g}, "
            f"the job allows {privacy.max_epsilon:g}.",
            "Use more noise, smaller batches or fewer steps; `frag privacy training` plans them.",
        )
    return epsilon


def by_unit(examples: Iterable[Example], objective: Objective) -> list[list[Example]]:
    """Examples of one unit together, units in the order of their names."""
    found: dict[str, list[Example]] = {}
    for example in examples:
        found.setdefault(example.unit_for(objective), []).append(example)
    return [found[unit] for unit in sorted(found)]


def train_privately(
    trainable: "Trainable",
    weights: Weights,
    units: Sequence[Unit],
    settings: LocalSettings,
    schedule: Schedule,
    *,
    mechanism: Mechanism,
    draws: SecretDraws,
    proximal_mu: float = 0.0,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Trained:
    """AdamW on noised gradients, always `settings.steps` steps; tells of the examples by the weights alone.

    `units` may be more or fewer than the public N: the claim rests on q. What follows the noise (AdamW, the proximal
    term, the schedule) reads no example.

    Raises:
        TrainingCancelledError: `is_cancelled` said so between two steps.
    """
    import torch

    tensors = {name: torch.from_numpy(np.array(weight)).requires_grad_() for name, weight in weights.items()}
    optimizer = torch.optim.AdamW(
        list(tensors.values()), lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=settings.weight_decay
    )
    for step in range(settings.steps):
        if is_cancelled():
            raise TrainingCancelledError("Training was cancelled.")
        optimizer.param_groups[0]["lr"] = schedule.learning_rate(settings, step)
        takes_part = taking_part(draws, mechanism.rate, len(units))
        chosen = [unit for unit, takes in zip(units, takes_part, strict=True) if takes]
        total = summed_gradients(trainable, tensors, chosen, mechanism.clip_norm, settings)
        mean = noised_mean(
            total,
            clip_norm=mechanism.clip_norm,
            noise_multiplier=mechanism.noise_multiplier,
            expected=mechanism.expected,
            draws=draws,
        )
        for name, value in unflattened(mean, weights).items():
            tensors[name].grad = torch.from_numpy(value)
        if proximal_mu:
            pull_back(tensors, weights, proximal_mu)
        optimizer.step()
    return Trained(
        weights={name: tensor.detach().numpy().copy() for name, tensor in tensors.items()},
        num_examples=1,  # the number of examples is private
        num_steps=settings.steps,
        metrics={},
    )


def summed_gradients(
    trainable: "Trainable",
    tensors: "Mapping[str, Tensor]",
    units: Sequence[Unit],
    clip_norm: float,
    settings: LocalSettings,
) -> Floats:
    """Σ of one clipped gradient a unit, [d]: of the mean loss per token over all that the unit has."""
    total = np.zeros(sum(tensor.numel() for tensor in tensors.values()))
    for unit in units:
        if any(example.num_labels for example in unit):
            total += clipped(_gradient(trainable, tensors, unit, settings.micro_batch_size), clip_norm)
    return total


def _gradient(trainable: "Trainable", tensors: "Mapping[str, Tensor]", unit: Unit, micro_batch_size: int) -> Floats:
    for tensor in tensors.values():
        tensor.grad = None
    accumulate(trainable, tensors, unit, micro_batch_size)
    zeros = {name: np.zeros(tuple(tensor.shape), np.float32) for name, tensor in tensors.items()}
    seen = {name: tensor.grad.numpy() for name, tensor in tensors.items() if tensor.grad is not None}
    return flattened(zeros | seen)
