"""Modes of a federation as models: `frag`, `frag:consensus`, … name how a question is answered."""

from collections.abc import Mapping
from typing import Any

import msgspec

from frag.settings import NO_LANGUAGE_MODEL, CoordinatorSettings
from frag.types import AnswerMode
from server.coordinator.openai.errors import UnknownModelError

NAME = "frag"


class ModelView(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of `GET /v1/models`."""

    id: str
    object: str = "model"
    created: int = 0
    owned_by: str = NAME


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    data: list[ModelView]
    object: str = "list"


def models_of(settings: CoordinatorSettings) -> Mapping[str, dict[str, Any]]:
    """Fields of a query by model name, of modes that the federation allows. `frag` is `scrub`, or else the first."""
    allowed = settings.answer_modes
    usual = AnswerMode.SCRUB if AnswerMode.SCRUB in allowed else allowed[0]
    models: dict[str, dict[str, Any]] = {NAME: {"answer_mode": usual}}
    models |= {f"{NAME}:{mode}": {"answer_mode": mode} for mode in AnswerMode if mode in allowed}
    if AnswerMode.DP in allowed:
        models[f"{NAME}:dp-keywords"] = {"answer_mode": AnswerMode.DP, "dp": "keywords"}
    if usual is not AnswerMode.CONSENSUS and settings.models.language_model != NO_LANGUAGE_MODEL:
        models[f"{NAME}:synthesize"] = {"answer_mode": usual, "aggregation": "synthesize"}
    return models


def listed(settings: CoordinatorSettings) -> ModelList:
    """All of them."""
    return ModelList(data=[ModelView(id=name) for name in models_of(settings)])


def fields_of(model: str, settings: CoordinatorSettings) -> dict[str, Any]:
    """What a model means. Raises UnknownModelError."""
    fields = models_of(settings).get(model)
    if fields is None:
        raise UnknownModelError(model)
    return dict(fields)
