"""A node's own version of shared weights: trained on from them, mixed with them, and kept only where it helps.

Sources: Wang et al. 2019, "Federated Evaluation of On-device Personalization", for tuning on from the shared weights;
Deng, Kamani and Mahdavi 2020, "Adaptive Personalized Federated Learning", eq. 2, for the mix
w = (1 - a) w_shared + a w_local. Here a is chosen on a share of its own, and judged on another.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frag.updates import Weights
from prompt_tuning.local_training import LocalSettings, OnStep, Schedule, train

if TYPE_CHECKING:
    from prompt_tuning.trainable import Prepared, Trainable

SHARES = (0.25, 0.5, 0.75, 1.0)
"""Values of a that are tried beside 0, the shared weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Personal:
    """The best mix. Losses are nats per answer token on examples that decided nothing."""

    weights: Weights = field(repr=False)
    share: float
    shared_loss: float
    personal_loss: float

    @property
    def gain(self) -> float:
        """Part of the shared loss that is saved, negative where it is worse; 0 where there was none to save."""
        return 1 - self.personal_loss / self.shared_loss if self.shared_loss > 0 else 0.0


def mixed(shared: Weights, local: Weights, share: float) -> Weights:
    """(1 - share) shared + share local, tensor by tensor; `share` in [0, 1]."""
    return {name: ((1 - share) * shared[name] + share * local[name]).astype("float32") for name in shared}


def best_share(losses: Mapping[float, float]) -> float:
    """The share of least loss; of equals the smaller one, which stays nearer to what all share."""
    return min(sorted(losses), key=lambda share: losses[share])


def personalise(
    trainable: "Trainable",
    shared: Weights,
    examples: "Sequence[Prepared]",
    *,
    chooses: "Sequence[Prepared]",
    judges: "Sequence[Prepared]",
    settings: LocalSettings,
    seed: int,
    on_step: OnStep = lambda _step, _loss: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Personal:
    """Trains on from `shared`, mixes, and measures.

    Args:
        trainable: The method on the model.
        shared: The weights that all nodes have.
        examples: What is trained on.
        chooses: Examples that decide how much of the local weights is taken. Not among `examples`.
        judges: Examples that the outcome is measured on, and nothing else. Not among the others.
        settings: Of the training; the schedule ends with its steps.
        seed: Of the batches.
        on_step: Told of each step.
        is_cancelled: Asked between steps.

    Raises:
        TrainingCancelledError: `is_cancelled` said so.
        ValueError: One of the three shares is empty.
    """
    if not (examples and chooses and judges):
        raise ValueError("examples to train on, to choose by and to judge by are all needed")
    schedule = Schedule(first_step=0, total_steps=settings.steps)
    local = train(
        trainable, shared, examples, settings, schedule, seed=seed, on_step=on_step, is_cancelled=is_cancelled
    ).weights
    losses = {0.0: trainable.loss_of(shared, chooses)}
    losses |= {share: trainable.loss_of(mixed(shared, local, share), chooses) for share in SHARES}
    share = best_share(losses)
    weights = mixed(shared, local, share)
    return Personal(
        weights=weights,
        share=share,
        shared_loss=trainable.loss_of(shared, judges),
        personal_loss=trainable.loss_of(weights, judges),
    )
