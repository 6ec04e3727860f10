"""Modes of a federation as models: `frag`, `frag:consensus`, … name how a question is answered.

What a name means depends on the federation's settings alone, so that it never changes under an asker. Which names are
listed depends on who is connected, too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from frag.settings import NO_LANGUAGE_MODEL, CoordinatorSettings
from frag.types import AnswerMode
from server.coordinator.openai.errors import UnknownModelError
from server.wire.messages import Ready

NAME = "frag"
_LEAST_SUPPORT = 2
"""Operators that a statement of mode `consensus` needs behind it."""
_LEAST_SUMMED = 3
"""Nodes that a secure sum of votes needs."""


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


def answerable(
    settings: CoordinatorSettings, nodes: Mapping[str, Ready], operators: Mapping[str, str]
) -> Sequence[str]:
    """Names of models that the connected `nodes` could answer as now, by what their policies allow.

    `operators` says who runs a node, where that is not the node's own name.
    """
    return [name for name, fields in models_of(settings).items() if _could_answer(fields, nodes, operators)]


def _could_answer(fields: Mapping[str, Any], nodes: Mapping[str, Ready], operators: Mapping[str, str]) -> bool:
    mode = fields["answer_mode"]
    able = [name for name, node in nodes.items() if mode in node.answer_modes and not node.withholds]
    if mode is AnswerMode.CONSENSUS:
        return len({operators.get(name, name) for name in able}) >= _LEAST_SUPPORT
    if fields.get("dp") == "keywords":
        return sum(nodes[name].keywords is not None for name in able) >= _LEAST_SUMMED
    return bool(able)


def listed(names: Sequence[str]) -> ModelList:
    """As `GET /v1/models` shows them."""
    return ModelList(data=[ModelView(id=name) for name in names])


def fields_of(model: str, settings: CoordinatorSettings) -> dict[str, Any]:
    """What a model means. Raises UnknownModelError."""
    fields = models_of(settings).get(model)
    if fields is None:
        raise UnknownModelError(model)
    return dict(fields)
