"""`[feedback]` of `node.toml`: how long questions are kept for feedback, and whose corrections become examples."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Pseudonym = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class FeedbackSettings(BaseModel):
    """What askers may tell this node about its answers, and what becomes of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keep_days: float = Field(
        7.0, ge=0, le=365, description="how long an answered question is kept for feedback; 0: never, and none is taken"
    )
    accept: Literal["manual", "agreeing", "trusted"] = Field(
        "manual",
        description="corrections that become examples: those that the operator accepts; those that several keys make "
        "alike; those of trusted keys",
    )
    agreeing_keys: int = Field(2, ge=2, le=1000, description="agreeing: API keys that must say the same")
    trusted: tuple[Pseudonym, ...] = Field(
        (), description="trusted: pseudonyms of API keys, as `frag node feedback list` shows them"
    )
    per_key_per_day: int = Field(50, ge=1, le=100_000, description="feedback that is taken of one API key in 24 hours")
    examples_per_key: int = Field(
        100, ge=1, le=1_000_000, description="examples of one API key that the data set holds at most"
    )
    pending_days: float = Field(30.0, gt=0, le=3650, description="how long a correction waits to be accepted")
