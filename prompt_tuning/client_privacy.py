"""DP-FedAvg: the round of a coordinator that nobody can ask about a single node. numpy alone.

Source: McMahan et al. 2018, "Learning Differentially Private Recurrent Language Models", Algorithm 1, divisor q W;
Andrew et al. 2021, "Differentially Private Learning with Adaptive Clipping", Algorithm 1 and Theorem 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from frag.errors import BadRequestError
from frag.privacy.accounting import plan_epsilon, steps_within
from frag.privacy.draws import SecretDraws
from frag.privacy.noised_sum import clipped, noised_mean, taking_part
from frag.updates import Weights, flattened, unflattened
from prompt_tuning.job import JobSettings
from prompt_tuning.privacy import LEAST_NODES, ClientPrivacySettings

_COUNT_NOISE_SHARE = 1 / 20
"""Of the expected nodes, as the noise of their count. Source: Andrew et al. 2021, §3.1."""


@dataclass(frozen=True, slots=True)
class ClientPlan:
    """What a job's settings fix for every round."""

    settings: ClientPrivacySettings
    nodes_per_round: int

    @classmethod
    def of(cls, job: JobSettings) -> "ClientPlan":
        """Raises TypeError when the job is of another mode."""
        if not isinstance(job.privacy, ClientPrivacySettings):
            raise TypeError(f"{job.privacy.mode} is not client-level")
        return cls(job.privacy, job.rounds.nodes_per_round)

    @property
    def expected(self) -> float:
        """q W: nodes of a round on average, and what the noised sum is divided by."""
        return float(self.nodes_per_round or self.settings.nodes)

    @property
    def rate(self) -> float:
        """q."""
        return self.expected / self.settings.nodes

    @property
    def count_noise(self) -> float:
        """σ_b of the count of unclipped updates. At least σ, so that the count costs at most a quarter."""
        return max(self.expected * _COUNT_NOISE_SHARE, self.settings.noise_multiplier)

    @property
    def update_noise(self) -> float:
        """z_Δ over the clipping norm: with the noised count, both together cost as much as σ alone (Theorem 1)."""
        sigma = self.settings.noise_multiplier
        return (sigma**-2 - (2 * self.count_noise) ** -2) ** -0.5 if self.settings.clip_rate else sigma

    def epsilon(self, rounds: int, *, sampling_known: bool = False) -> float:
        """ε of that many rounds; with q = 1 against those who know who took part. Takes up to seconds."""
        rate = 1.0 if sampling_known else self.rate
        return plan_epsilon(self.settings.noise_multiplier, rate, rounds, self.settings.delta)

    def rounds_within(self, most: int) -> int:
        """How many rounds the budget allows, up to `most`. Takes up to seconds."""
        settings = self.settings
        return steps_within(settings.max_epsilon, settings.noise_multiplier, self.rate, most, settings.delta)


def draw_nodes(available: Sequence[str], plan: ClientPlan, draws: SecretDraws) -> list[str]:
    """Each node with probability q, by secret draws: whoever knew who took part could claim no amplification."""
    names = sorted(set(available))
    return [
        name for name, takes_part in zip(names, taking_part(draws, plan.rate, len(names)), strict=True) if takes_part
    ]


def check_population(job: JobSettings) -> None:
    """Raises BadRequestError when a client-level job is for so few nodes that its claim could not be kept usefully."""
    if isinstance(job.privacy, ClientPrivacySettings) and job.privacy.nodes < LEAST_NODES:
        raise BadRequestError(
            f"Client-level privacy hides a node among hundreds; privacy.nodes is {job.privacy.nodes}.",
            f'Use mode = "record" with few nodes, or at least {LEAST_NODES} nodes.',
        )


class ClientSum:
    """Σ of clipped updates of one round, and how many needed no clipping. Memory is that of one sum.

    Args:
        plan: Of the job.
        like: Names and shapes.
        clip_norm: C of this round; 0 stands for the first one's.
    """

    def __init__(self, plan: ClientPlan, like: Weights, clip_norm: float) -> None:
        self._plan = plan
        self._like = like
        self.clip_norm = clip_norm or plan.settings.clip_norm
        self._total = np.zeros(sum(value.size for value in like.values()))
        self._unclipped = 0.0

    def add(self, delta: Weights) -> None:
        """Every node counts the same."""
        row = flattened(delta)
        self._total += clipped(row, self.clip_norm)
        self._unclipped += (1.0 if np.linalg.norm(row) <= self.clip_norm else 0.0) - 0.5

    def finish(self, draws: SecretDraws) -> tuple[Weights, float]:
        """The noised mean update, and C of the next round. Drawn once a round: noise of two draws averages out."""
        mean = noised_mean(
            self._total,
            clip_norm=self.clip_norm,
            noise_multiplier=self._plan.update_noise,
            expected=self._plan.expected,
            draws=draws,
        )
        return unflattened(mean, self._like), self._next_clip(draws)

    def _next_clip(self, draws: SecretDraws) -> float:
        """C exp(−η (b̃ − γ)): geometric updates towards the quantile γ."""
        settings = self._plan.settings
        if not settings.clip_rate:
            return self.clip_norm
        # one node moves the centred count by a half: that is its clipping norm
        noised = noised_mean(
            [self._unclipped],
            clip_norm=0.5,
            noise_multiplier=2 * self._plan.count_noise,
            expected=self._plan.expected,
            draws=draws,
        )
        share = 0.5 + float(noised[0])
        return self.clip_norm * math.exp(-settings.clip_rate * (min(1.0, max(0.0, share)) - settings.clip_quantile))
