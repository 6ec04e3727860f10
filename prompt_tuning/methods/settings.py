"""What each method can be told. One class a method; a job names one by `kind`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from frag.types import Place, Template
from prompt_tuning.templates import TEMPLATES

_INITIAL_TEXT = (
    "Answer with the shortest phrase of the context that answers the question, such as a name, date or place."
)

LINEAR_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""Names of Llama-like models; others are given by `layers`."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    place: Place = Field(Place.AFTER, description="before the input, or after it, at the answer")


class _VirtualTokens(_Settings):
    num_virtual_tokens: int = Field(20, ge=1, le=512, description="length of the soft prompt")


class PromptSettings(_VirtualTokens):
    """Virtual tokens. Source: Lester et al. 2021, "The Power of Scale for Parameter-Efficient Prompt Tuning"."""

    kind: Literal["prompt"] = "prompt"
    initial: Literal["text", "random"] = Field("text", description="embeddings of `text`, or of random tokens")
    text: str = Field(_INITIAL_TEXT, min_length=1, max_length=4000, description="what the prompt starts as")


class PTuningSettings(_VirtualTokens):
    """Virtual tokens through a prompt encoder. Source: Liu et al. 2021, "GPT Understands, Too"."""

    kind: Literal["p_tuning"] = "p_tuning"
    encoder: Literal["MLP", "LSTM"] = Field("MLP", description="network between the trained embeddings and the prompt")
    hidden_size: int = Field(128, ge=1, le=8192, description="width of the encoder")


class GeneratorSettings(_VirtualTokens):
    """A network from the question's embedding to virtual tokens."""

    kind: Literal["generator"] = "generator"
    hidden_size: int = Field(32, ge=1, le=4096, description="width of the generator")
    text: str = Field(_INITIAL_TEXT, min_length=1, max_length=4000, description="what the prompt starts as")


class DeepSettings(_VirtualTokens):
    """Keys and values at every layer. Source: Li and Liang 2021, "Prefix-Tuning"; Liu et al. 2022, "P-Tuning v2"."""

    kind: Literal["deep"] = "deep"
    initial: Literal["text", "random"] = Field("text", description="keys and values of `text`, or small random ones")
    text: str = Field(_INITIAL_TEXT, min_length=1, max_length=4000, description="what the prompt starts as")


class LoraSettings(_Settings):
    """Low-rank changes of linear layers. Source: Hu et al. 2021, "LoRA"."""

    kind: Literal["lora"] = "lora"
    rank: int = Field(8, ge=1, le=512)
    alpha: float = Field(16.0, gt=0, description="the change is scaled by alpha / rank")
    layers: tuple[str, ...] = Field(LINEAR_LAYERS, min_length=1, description="last part of the names of linear layers")
    freeze_down: bool = Field(
        default=True, description="train B alone, so that the mean of the nodes' changes is the change of the mean"
    )


class FullSettings(_Settings):
    """All weights of the model."""

    kind: Literal["full"] = "full"
    place: Place = Field(Place.BEFORE, description="before: another model; after: another decoder of the same input")


class Candidate(BaseModel):
    """A written prompt: an instruction, and (passage, question, answer) turns that show the form."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    instruction: str = Field("", max_length=4000)
    examples: tuple[tuple[str, str, str], ...] = Field((), max_length=16)

    @property
    def template(self) -> Template:
        return Template(instruction=self.instruction, examples=self.examples)


_WRITTEN = tuple(
    Candidate(name=name, instruction=template.instruction, examples=template.examples)
    for name, template in TEMPLATES.items()
)


class TemplateSettings(_Settings):
    """Written prompts, nothing trained: nodes measure each candidate on their held-out shares, and the best is kept."""

    kind: Literal["template"] = "template"
    candidates: tuple[Candidate, ...] = Field(
        _WRITTEN, min_length=1, max_length=99, description="built-in ones if none"
    )


MethodSettings = Annotated[
    PromptSettings
    | PTuningSettings
    | GeneratorSettings
    | DeepSettings
    | LoraSettings
    | FullSettings
    | TemplateSettings,
    Field(discriminator="kind"),
]
