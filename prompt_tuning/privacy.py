"""`[privacy]` of a job: what it may tell of one unit, or of one node; and which settings would make that false."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from frag.privacy.accounting import DELTA

if TYPE_CHECKING:
    from prompt_tuning.job import JobSettings

LEAST_NODES = 100
"""A claim for single nodes takes hundreds of them: with fewer, noise that hides one hides everything."""

Noise = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False, description="σ: noise over the clipping norm")]
Delta = Annotated[float, Field(gt=0, le=1e-3, description="δ of the claim")]
Budget = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False, description="ε that the job may cost")]
Clip = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NoPrivacySettings(_Settings):
    """`mode = "none"`: nothing is claimed."""

    mode: Literal["none"] = "none"


class RecordPrivacySettings(_Settings):
    """`mode = "record"`: DP-SGD inside each node. `local.batch_size` is B, the expected size of a batch.

    One unit is a person or document that the data set names, else one example (of plain text: one group).
    """

    mode: Literal["record"] = "record"
    noise_multiplier: Noise = 1.0
    clip_norm: Clip = Field(1.0, description="C: bound on the gradient of one unit; takes the place of local.clip_norm")
    units: int = Field(
        0, ge=0, le=10**9, description="N, public, for all nodes; 0: the number of its units, which each node tells"
    )
    delta: Delta = DELTA
    max_epsilon: Budget = 8.0


class ClientPrivacySettings(_Settings):
    """`mode = "client"`: DP-FedAvg. `rounds.nodes_per_round` is how many nodes take part in a round on average; 0: all.

    The clipping norm follows a quantile of the norms of updates, whose noised counts are part of the accounting.
    Source: McMahan et al. 2018, "Learning Differentially Private Recurrent Language Models", Algorithm 1; Andrew et al.
    2021, "Differentially Private Learning with Adaptive Clipping", Algorithm 1.
    """

    mode: Literal["client"] = "client"
    nodes: int = Field(ge=1, le=10**9, description="W, public: nodes that there are to draw from")
    noise_multiplier: Noise = 1.0
    clip_norm: Clip = Field(0.1, description="C of the first round; of all rounds where clip_rate is 0")
    clip_quantile: float = Field(0.5, gt=0, lt=1, description="share of updates that are not to be clipped")
    clip_rate: float = Field(0.2, ge=0, le=2, description="how fast the clipping norm follows the quantile; 0: never")
    delta: Delta = DELTA
    max_epsilon: Budget = 8.0


PrivacySettings = Annotated[
    NoPrivacySettings | RecordPrivacySettings | ClientPrivacySettings, Field(discriminator="mode")
]


def refusals(job: "JobSettings") -> Iterator[str]:
    """Why the job's claim would be false, one reason each; nothing where it claims nothing or all is well."""
    if isinstance(job.privacy, NoPrivacySettings):
        return
    if job.method.kind == "template":
        yield "written prompts are chosen by scores of the nodes' own examples, which is not differentially private"
    if job.strategy.kind == "fedbuff":
        yield "fedbuff trains a node as often as it is free, and a budget is for a fixed number of steps"
    if job.evaluation.every:
        yield "what nodes measure on their own examples tells about them; set evaluation.every = 0"
    if isinstance(job.privacy, RecordPrivacySettings):
        yield from _refused_for_records(job, job.privacy)
    else:
        yield from _refused_for_clients(job, job.privacy)


def _refused_for_records(job: "JobSettings", privacy: RecordPrivacySettings) -> Iterator[str]:
    if job.local.validate_every:
        yield "stopping early depends on private examples; set local.validate_every = 0"
    if job.context.source == "retrieved":
        yield 'found passages are of other units, whose gradients would change each other; set context.source = "given"'
    if job.context.negatives:
        yield "negatives take passages of other units; set context.negatives = 0"
    if 0 < privacy.units < job.local.batch_size:
        yield f"local.batch_size {job.local.batch_size} is over the {privacy.units} privacy.units to draw from"
    if privacy.units * privacy.delta > 1:
        yield f"δ = {privacy.delta:g} allows to publish a unit of {privacy.units}; set privacy.delta below 1 / units"


def _refused_for_clients(job: "JobSettings", privacy: ClientPrivacySettings) -> Iterator[str]:
    if job.aggregation.mode == "robust":
        yield "a robust rule lets one update change the result by more than the clipping norm; use plain aggregation"
    if job.aggregation.mode == "secagg":
        yield "the coordinator clips each update, and secagg shows it none; with secagg use mode record"
    if job.rounds.nodes_per_round > privacy.nodes:
        yield f"rounds.nodes_per_round {job.rounds.nodes_per_round} is over privacy.nodes {privacy.nodes}"
    if job.rounds.min_replies > 1:
        yield "a round that is repeated until enough reply is no random sample; leave rounds.min_replies at 1"
    if privacy.nodes * privacy.delta > 1:
        yield f"δ = {privacy.delta:g} allows to expose a node of {privacy.nodes}; set privacy.delta below 1 / nodes"


def promise(job: "JobSettings") -> str:
    """The claim of a job in plain words; empty where there is none."""
    privacy = job.privacy
    if isinstance(privacy, RecordPrivacySettings):
        return (
            f"Whoever sees updates or result, the coordinator included, learns of one unit at one node at most "
            f"ε = {privacy.max_epsilon:g}, δ = {privacy.delta:g}. A unit at several nodes pays at each. "
            "Timing is not covered."
        )
    if isinstance(privacy, ClientPrivacySettings):
        return (
            f"Whoever sees the final model alone learns of one node at most ε = {privacy.max_epsilon:g}, "
            f"δ = {privacy.delta:g}, if the coordinator is honest and tells nobody who took part. "
            "Nothing is claimed against the coordinator, which sees every update."
        )
    return ""
