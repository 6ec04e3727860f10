"""`[training]` of `node.toml`: what a node makes of a shared prompt for itself alone."""

from pydantic import BaseModel, ConfigDict, Field


class NodeTrainingSettings(BaseModel):
    """A personal part of the live prompt, which never leaves the node."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    personal: bool = Field(
        default=False,
        description="whether a promoted prompt is trained on with the node's own examples, for its answers",
    )
    personal_steps: int = Field(40, ge=1, le=10_000, description="optimiser steps of that")
    personal_margin: float = Field(
        0.02, ge=0, lt=1, description="part of the loss on held-out examples that it must save to be used"
    )
    personal_min_examples: int = Field(
        40, ge=10, description="fewer own examples than these, and the shared prompt is used as it is"
    )
