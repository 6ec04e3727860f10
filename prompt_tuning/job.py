"""A training job: what is trained, on what, how, and when a round is done; for coordinator, node and simulation."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from frag.errors import SettingsError
from frag.quantization import Encoding
from frag.secagg.parameters import MIN_NODES
from frag.types import Template
from prompt_tuning.dataset import Objective
from prompt_tuning.local_training import LocalSettings
from prompt_tuning.methods.settings import LoraSettings, MethodSettings, TemplateSettings
from prompt_tuning.privacy import NoPrivacySettings, PrivacySettings, refusals
from prompt_tuning.robust import PlainSettings, RobustSettings
from prompt_tuning.secure_mean import SecureSettings
from prompt_tuning.standing import StandingSettings, unfit
from prompt_tuning.strategies.settings import FedAvgSettings, StrategySettings

AggregationSettings = Annotated[PlainSettings | RobustSettings | SecureSettings, Field(discriminator="mode")]

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RoundSettings(_Strict):
    """How many rounds, and what a round waits for."""

    number: int = Field(10, ge=1, le=100_000, description="rounds of the job")
    nodes_per_round: int = Field(0, ge=0, description="sampled among those that have the data set; 0: all")
    min_replies: int = Field(1, ge=1, description="updates that a round needs, or it is repeated")
    deadline_s: float = Field(900.0, gt=0, le=86_400, description="after which late nodes are left out")
    attempts: int = Field(5, ge=1, le=1000, description="at one round with too few updates, before the job fails")
    rejoin_s: float = Field(
        30.0, ge=0, le=3600, description="how long an interrupted round waits for those that it had begun with"
    )


class ContextSettings(_Strict):
    """Which passages a question is put with."""

    source: Literal["given", "retrieved", "none"] = Field(
        "given", description="those of the data set; found by the node's own retriever; none"
    )
    num_passages: int = Field(1, ge=1, le=20)
    negatives: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of examples with a passage that holds no answer, to be answered `Not found.`",
    )


class UpdateSettings(_Strict):
    """What travels, and what may come from a node."""

    encoding: Encoding = Field(Encoding.FP32, description="of updates; what int8 rounds off is made good later")
    broadcast: Encoding = Field(Encoding.FP32, description="of the weights that nodes are given")
    max_norm: float = Field(0.0, ge=0, description="larger updates are scaled down to it; 0: no bound")
    max_examples: int = Field(100_000, ge=1, le=1_000_000, description="n_k counts up to this")


class PublicSettings(_Strict):
    """Data that the coordinator itself holds, and trains on before each round (Algorithm 2, lines 4 and 5)."""

    dataset: Name = Field(description="name under which the coordinator holds its examples")
    steps: int = Field(20, ge=1, le=100_000, description="optimiser steps of a pass")
    margin: float = Field(
        0.01, ge=0, lt=1, description="share of the validation loss that a pass must gain for another one to follow"
    )
    max_passes: int = Field(5, ge=1, le=1000, description="before each round")


class EvaluationSettings(_Strict):
    """What nodes measure on their own held-out share."""

    every: int = Field(1, ge=0, description="rounds between evaluations; 0: never")
    max_examples: int = Field(50, ge=1, description="of each node")
    max_new_tokens: int = Field(24, ge=1, le=512)


class JobSettings(_Strict):
    """`job.toml`."""

    name: Name
    dataset: Name = Field(description="name under which nodes hold their examples")
    objective: Objective = Objective.SUPERVISED
    seed: int = Field(0, ge=0)
    instruction: str = Field("", max_length=4000, description="what the model is told; empty: its default")
    method: MethodSettings = LoraSettings()
    local: LocalSettings = LocalSettings()
    rounds: RoundSettings = RoundSettings()
    strategy: StrategySettings = FedAvgSettings()
    context: ContextSettings = ContextSettings()
    update: UpdateSettings = UpdateSettings()
    aggregation: AggregationSettings = PlainSettings()
    privacy: PrivacySettings = NoPrivacySettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    public: PublicSettings | None = None
    standing: StandingSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_kinds(cls, values: Any) -> Any:
        """`[method]` and `[strategy]` without a kind mean the default one."""
        if not isinstance(values, dict):
            return values
        filled = dict(values)
        for section, kind in (("method", "lora"), ("strategy", "fedavg")):
            if isinstance(filled.get(section), dict) and "kind" not in filled[section]:
                filled[section] = {"kind": kind, **filled[section]}
        return filled

    @model_validator(mode="after")
    def _check(self) -> "JobSettings":
        if self.objective is Objective.CAUSAL_LM and self.method.kind == "generator":
            raise ValueError("a generator needs questions; causal_lm has none")
        if self.method.kind == "template" and (self.public is not None or self.objective is Objective.CAUSAL_LM):
            raise ValueError("written prompts are measured on questions, and nothing is trained on public data")
        if self.public is not None and self.strategy.kind == "fedbuff":
            raise ValueError("public data is trained on between rounds; fedbuff has no such moment")
        if isinstance(self.aggregation, RobustSettings):
            self._check_robust(self.aggregation)
        if isinstance(self.aggregation, SecureSettings):
            self._check_secure()
        if 0 < self.rounds.nodes_per_round < self.rounds.min_replies:
            raise ValueError(
                f"rounds.min_replies {self.rounds.min_replies} is over nodes_per_round {self.rounds.nodes_per_round}"
            )
        if self.standing is not None and (reasons := unfit(self)):
            raise ValueError(f"standing: {'; '.join(reasons)}")
        if reasons := list(refusals(self)):
            raise ValueError(f"privacy: {'; '.join(reasons)}")
        return self

    def _check_robust(self, aggregation: RobustSettings) -> None:
        if self.strategy.kind == "fedbuff":
            raise ValueError("robust rules compare the updates of one round; fedbuff has no rounds in that sense")
        least, asked = aggregation.least_nodes(), self.rounds.nodes_per_round
        if 0 < asked < least:
            raise ValueError(
                f"{aggregation.rule} against {aggregation.tolerated} dishonest nodes needs {least}, not {asked}"
            )

    def _check_secure(self) -> None:
        if self.strategy.kind == "fedbuff" or self.method.kind == "template":
            raise ValueError("secagg needs rounds of updates; fedbuff and written prompts have none")
        if self.update.encoding is not Encoding.FP32:
            raise ValueError("masked updates are integers already; leave update.encoding at fp32")
        if 0 < self.rounds.nodes_per_round < MIN_NODES:
            raise ValueError(f"a sum over fewer than {MIN_NODES} nodes hides nobody")

    @property
    def template(self) -> Template:
        """What the model is told before passages and question; of several candidates the first."""
        if isinstance(self.method, TemplateSettings):
            return self.method.candidates[0].template
        return Template(instruction=self.instruction)

    @property
    def num_rounds(self) -> int:
        """Rounds of the job: one a candidate where written prompts are compared."""
        return len(self.method.candidates) if isinstance(self.method, TemplateSettings) else self.rounds.number

    def with_candidate(self, number: int) -> "JobSettings":
        """The job with one of its written prompts alone."""
        if not isinstance(self.method, TemplateSettings):
            raise TypeError(f"{self.method.kind} has no candidates")
        alone = self.method.model_copy(update={"candidates": (self.method.candidates[number],)})
        return self.model_copy(update={"method": alone})

    @property
    def equal_weight(self) -> int:
        """The n_k of every node, whatever it tells, where privacy wants that; 0 where nodes count by their examples."""
        if self.privacy.mode == "none":
            return 0
        return self.aggregation.max_examples if isinstance(self.aggregation, SecureSettings) else 1

    @property
    def total_steps(self) -> int:
        """Steps of one node over the whole job, for the learning-rate schedule."""
        return self.rounds.number * self.local.steps


def load_job(path: Path) -> JobSettings:
    """Reads `job.toml`. Raises SettingsError naming every wrong place."""
    import tomllib

    try:
        return JobSettings.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"The job {path} cannot be read: {error}.", "Give a TOML file.") from error
    except ValidationError as error:
        raise SettingsError(f"{path}: {places_of(error)}.", "Mend these values.") from error


def places_of(error: ValidationError) -> str:
    """Every wrong place of a job and what is wrong there, without the values."""
    return "; ".join(f"{'.'.join(map(str, item['loc'])) or 'job'}: {item['msg']}" for item in error.errors())
