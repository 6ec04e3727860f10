"""What can be trained, one method a file. `settings` loads no torch; the methods do."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from prompt_tuning.methods.settings import (
    DeepSettings,
    FullSettings,
    GeneratorSettings,
    LoraSettings,
    MethodSettings,
    PromptSettings,
    PTuningSettings,
    TemplateSettings,
)

if TYPE_CHECKING:
    from prompt_tuning.methods.method import Method

KINDS = ("prompt", "p_tuning", "generator", "deep", "lora", "full")
"""What is trained; `template` is only written."""

__all__ = [
    "KINDS",
    "DeepSettings",
    "FullSettings",
    "GeneratorSettings",
    "LoraSettings",
    "MethodSettings",
    "PTuningSettings",
    "PromptSettings",
    "TemplateSettings",
    "make_method",
    "make_settings",
]


def make_settings(values: Mapping[str, Any]) -> MethodSettings:
    """Settings by `kind`. Raises pydantic's ValidationError."""
    settings: MethodSettings = TypeAdapter(MethodSettings).validate_python(values)
    return settings


def make_method(settings: MethodSettings) -> "Method":
    """The method that `settings.kind` names."""
    from prompt_tuning.methods.deep import Deep
    from prompt_tuning.methods.full import Full
    from prompt_tuning.methods.generator import Generator
    from prompt_tuning.methods.lora import Lora
    from prompt_tuning.methods.p_tuning import PTuning
    from prompt_tuning.methods.prompt import Prompt
    from prompt_tuning.methods.template import WrittenTemplate

    makers: Mapping[type, Any] = {
        PromptSettings: Prompt,
        PTuningSettings: PTuning,
        GeneratorSettings: Generator,
        DeepSettings: Deep,
        LoraSettings: Lora,
        FullSettings: Full,
        TemplateSettings: WrittenTemplate,
    }
    method: Method = makers[type(settings)](settings)
    return method
