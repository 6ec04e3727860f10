"""`[standing]` of a job: it waits, and trains on from the live prompt whenever there is enough that is new."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class StandingSettings(BaseModel):
    """When a run starts by itself, what is done against forgetting, and what a candidate must show.

    The defaults of `replay` and `anchor` are the best of `frag eval lifelong` (docs/continual.md).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_nodes: int = Field(2, ge=1, le=10_000, description="nodes that must have enough new examples")
    min_new_examples: int = Field(20, ge=1, le=1_000_000, description="of each of them, since the last run")
    on_drift: bool = Field(default=True, description="whether drift seen at min_nodes nodes also starts a run")
    cooldown_s: float = Field(3600.0, ge=0, le=31_536_000, description="from the end of a run to the next")
    replay: float = Field(0.5, ge=0, lt=1, description="share of old examples in a batch; 0: new ones alone")
    buffer_examples: int = Field(1000, ge=0, le=100_000, description="old examples that a node replays; 0: all")
    anchor: float = Field(0.0, ge=0, le=1000, description="μ of μ/2 ‖w − w_live‖² in the loss; 0: none")
    margin: float = Field(0.02, ge=0, le=1, description="held-out F1 by which a candidate may be worse than the live")
    series: str = Field("", pattern=r"^[a-z0-9-]{0,55}$", description="filled in by the coordinator: whose run it is")


def unfit(job: Any) -> list[str]:
    """Why a job cannot stand: what its gate needs and the job does not allow."""
    wrong: dict[str, bool] = {
        "a standing job trains weights; written prompts are chosen by a job of their own": job.method.kind
        == "template",
        "candidates are measured on questions; causal_lm has none": job.objective == "causal_lm",
        "candidates are measured on examples, which privacy forbids": job.privacy.mode != "none",
        "fedbuff has no round that a run could end with": job.strategy.kind == "fedbuff",
    }
    return [reason for reason, holds in wrong.items() if holds]


Decision = Literal["promoted", "rolled_back", "superseded", "failed"]
