"""What each strategy can be told. A job names one by `kind`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Rate = Annotated[float, Field(gt=0, le=100, description="of the server")]
Share = Annotated[float, Field(ge=0, lt=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FedAvgSettings(_Settings):
    kind: Literal["fedavg"] = "fedavg"
    learning_rate: Rate = 1.0


class FedProxSettings(_Settings):
    kind: Literal["fedprox"] = "fedprox"
    learning_rate: Rate = 1.0
    proximal_mu: float = Field(0.01, ge=0, le=1000)


class FedAvgMSettings(_Settings):
    kind: Literal["fedavgm"] = "fedavgm"
    learning_rate: Rate = 1.0
    momentum: Share = 0.9


class _FedOptSettings(_Settings):
    learning_rate: Rate = 0.01
    beta_1: Share = 0.9
    tau: float = Field(1e-3, gt=0)


class FedAdamSettings(_FedOptSettings):
    kind: Literal["fedadam"] = "fedadam"
    beta_2: Share = 0.99


class FedYogiSettings(_FedOptSettings):
    kind: Literal["fedyogi"] = "fedyogi"
    beta_2: Share = 0.99


class FedAdagradSettings(_FedOptSettings):
    kind: Literal["fedadagrad"] = "fedadagrad"
    beta_1: Share = 0.0


class FedBuffSettings(_Settings):
    """Asynchronous: nodes are never waited for; a round of the job is a step of the buffer."""

    kind: Literal["fedbuff"] = "fedbuff"
    learning_rate: Rate = 1.0
    buffer_size: int = Field(10, ge=1, le=100_000, description="updates that make a step; fewer nodes: all of them")
    max_staleness: int = Field(20, ge=0, le=100_000, description="steps after which an update is too old to count")


StrategySettings = Annotated[
    FedAvgSettings
    | FedProxSettings
    | FedAvgMSettings
    | FedAdamSettings
    | FedYogiSettings
    | FedAdagradSettings
    | FedBuffSettings,
    Field(discriminator="kind"),
]
