"""One round of Algorithm 2 as pure functions: who takes part, and what their updates make of the weights.

Coordinator and simulation both stand on it, so that they reach the same weights. numpy alone.

Source: Yu, Muñoz and Jannesari 2023, "Federated Foundation Models", Algorithm 2; with the normalisation by Σ n_k of
McMahan et al. 2017, which the former leaves out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from frag.errors import UpdateError
from frag.privacy.draws import SecretDraws
from frag.sampling import derive_seed, sample_nodes
from frag.summation import FixedPointSum
from frag.updates import Update, UpdateLimits, Weights, check_update
from prompt_tuning.client_privacy import ClientPlan, ClientSum, draw_nodes
from prompt_tuning.job import JobSettings
from prompt_tuning.local_training import Schedule
from prompt_tuning.robust import PlainSettings, RobustSettings, aggregate
from prompt_tuning.secure_mean import SecureSettings, decode_sum, encode_update
from prompt_tuning.strategies import ServerState, make_strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundResult:
    """The state after a round, whose updates counted, which were bounded or refused and why, and mean metrics."""

    state: ServerState
    contributors: tuple[str, ...]
    remarks: Mapping[str, str]
    metrics: Mapping[str, float] = field(default_factory=dict)


class Round:
    """Takes the updates of one round as they arrive.

    Memory is that of the sum and one update; under robust aggregation, whose rules compare updates, that of all.
    """

    def __init__(self, job: JobSettings, state: ServerState, num_nodes: int = 0) -> None:
        self._job = job
        self._num_nodes = num_nodes
        self._state = state
        self._sum = FixedPointSum(state.weights)
        self._kept: list[Update] = []
        self._private = None
        if job.privacy.mode == "client":
            self._private = ClientSum(ClientPlan.of(job), state.weights, state.clip_norm)
        self._limits = UpdateLimits(max_examples=job.update.max_examples, max_norm=job.update.max_norm)
        self._refused: set[str] = set()
        self._metrics: dict[str, dict[str, float]] = {}
        self._remarks: dict[str, str] = {}

    @property
    def num_added(self) -> int:
        return self._sum.num_added + len(self._kept)

    def offer(self, update: Update) -> bool:
        """Counts the update, or leaves it out with a remark; False when it was left out."""
        if update.node_id in self._metrics:
            self._remarks[update.node_id] = "sent more than one update; the first counts"
            return False
        try:
            checked, reasons = check_update(update, self._state.weights, self._state.round_num, self._limits)
            if self._job.equal_weight:
                checked = replace(checked, num_examples=self._job.equal_weight)
            if self._private is not None:
                self._private.add(checked.delta)
            elif not isinstance(self._job.aggregation, PlainSettings):
                self._kept.append(checked)
            else:
                self._sum.add(checked.delta, checked.num_examples)
        except UpdateError as error:
            self._remarks[update.node_id] = error.what
            self._refused.add(update.node_id)
            return False
        if reasons:
            self._remarks[update.node_id] = "; ".join(reasons)
        self._metrics[update.node_id] = dict(update.metrics)
        return True

    def finish(self) -> RoundResult:
        """Applies the strategy to the mean. Raises UpdateError when there are fewer updates than the job asks for.

        Under client-level privacy nobody is asked for: a round that depended on who replied would tell about them.
        """
        if self._private is not None:
            return self._finish_private(self._private)
        if self.num_added < self._job.rounds.min_replies:
            raise UpdateError(f"{self.num_added} updates of {self._job.rounds.min_replies} needed.")
        state = make_strategy(self._job.strategy).apply(self._state, self._mean())
        return RoundResult(
            state=state,
            contributors=tuple(sorted(self._metrics)),
            remarks=self._remarks,
            metrics=mean_metrics(self._metrics[node] for node in sorted(self._metrics)),
        )

    def _finish_private(self, private: ClientSum) -> RoundResult:
        """Metrics of nodes are left out; clipping norms follow from noised counts and may be seen."""
        mean, clip_norm = private.finish(SecretDraws())
        state = make_strategy(self._job.strategy).apply(self._state, mean)
        return RoundResult(
            state=replace(state, clip_norm=clip_norm),
            contributors=tuple(sorted(self._metrics)),
            remarks=self._remarks,
            metrics={"clip_norm": private.clip_norm},
        )

    def _mean(self) -> Weights:
        match self._job.aggregation:
            case PlainSettings():
                return self._sum.mean()
            case RobustSettings() as settings:
                mean, left_out = aggregate(self._kept, settings.without(len(self._refused), len(self._kept)))
                for node_id in left_out:
                    self._remarks[node_id] = f"left out by {settings.rule}"
                    del self._metrics[node_id]
                return mean
            case SecureSettings() as settings:
                return self._secure_mean(settings)

    def _secure_mean(self, settings: SecureSettings) -> Weights:
        """In the ring of the real sum, without its masks."""
        encoded = [encode_update(u.delta, u.num_examples, settings, self._num_nodes) for u in self._kept]
        total = encoded[0].copy()
        for vector in encoded[1:]:
            total += vector
        return decode_sum(total, self._state.weights, settings, self._num_nodes)


def mean_metrics(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The plain mean over nodes of every finite metric that all of them report."""
    found = list(rows)
    names = set.intersection(*(set(row) for row in found)) if found else set()
    means = {name: float(np.mean([row[name] for row in found])) for name in sorted(names)}
    return {name: value for name, value in means.items() if np.isfinite(value)}


def choose_nodes(job: JobSettings, available: Sequence[str], round_num: int) -> list[str]:
    """Who takes part in a round: by seed, or by secret draws where privacy rests on them."""
    if job.privacy.mode == "client":
        return draw_nodes(available, ClientPlan.of(job), SecretDraws())
    return sample_nodes(available, job.rounds.nodes_per_round, seed=job.seed, round_num=round_num)


def node_seed(job: JobSettings, round_num: int, node_id: str) -> int:
    """The seed of a node's batches in a round."""
    return derive_seed(job.seed, "node", node_id, round_num)


def schedule(job: JobSettings, round_num: int) -> Schedule:
    """Where a round stands in the job."""
    return Schedule(first_step=round_num * job.local.steps, total_steps=job.total_steps)
