"""An adaptation as one safetensors file: tensors, and in the header what they mean and what they fit. numpy alone."""

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import numpy as np
from pydantic import TypeAdapter, ValidationError

from frag.errors import ModelError
from frag.types import Adaptation, Place, Template
from prompt_tuning.methods.settings import MethodSettings

_FORMAT = "frag-adaptation-1"
_MEND = "Fetch it again, or promote another version."
_settings: TypeAdapter[MethodSettings] = TypeAdapter(MethodSettings)


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    format: str
    settings: dict[str, Any]
    instruction: str
    examples: list[tuple[str, str, str]]
    base_model: str
    layout: str
    embedder: str
    epsilon: Annotated[float, msgspec.Meta(ge=0)] | None = None
    delta: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0


def save_adaptation(adaptation: Adaptation) -> bytes:
    """The file. The version is not in it: it names the content."""
    from safetensors.numpy import save

    header = _Header(
        format=_FORMAT,
        settings={"kind": adaptation.method, **adaptation.settings, "place": adaptation.place.value},
        instruction=adaptation.template.instruction,
        examples=list(adaptation.template.examples),
        base_model=adaptation.base_model,
        layout=adaptation.layout,
        embedder=adaptation.embedder,
        epsilon=adaptation.epsilon if math.isfinite(adaptation.epsilon) else None,  # JSON has no infinity
        delta=adaptation.delta,
    )
    tensors = {name: np.ascontiguousarray(value) for name, value in adaptation.tensors.items()}
    return save(tensors, {"frag": msgspec.json.encode(header).decode()})


def load_adaptation(content: bytes, version: str = "") -> Adaptation:
    """What `save_adaptation` made.

    Raises:
        ModelError: The bytes are damaged, of another format, or hold tensors that are not finite float32.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(content)
        metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")]).get("__metadata__", {})
        header = msgspec.json.decode(metadata["frag"], type=_Header)
        settings = header.settings if header.settings.get("kind") == "template" else _checked(header.settings)
    except (SafetensorError, ValueError, KeyError, msgspec.DecodeError) as error:
        raise ModelError(f"An adaptation cannot be read ({type(error).__name__}).", _MEND) from error
    if header.format != _FORMAT:
        raise ModelError(f"An adaptation is of the format {header.format[:40]}, not {_FORMAT}.", _MEND)
    if not all(value.dtype == np.float32 and np.isfinite(value).all() for value in tensors.values()):
        raise ModelError("An adaptation holds numbers that are not finite float32.", _MEND)
    return Adaptation(
        method=settings["kind"],
        settings={name: value for name, value in settings.items() if name not in {"kind", "place"}},
        place=Place(settings["place"]),
        tensors=tensors,
        template=Template(instruction=header.instruction, examples=tuple(header.examples)),
        base_model=header.base_model,
        layout=header.layout,
        embedder=header.embedder,
        version=version,
        epsilon=math.inf if header.epsilon is None else header.epsilon,
        delta=header.delta,
    )


def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    try:
        checked: dict[str, Any] = _settings.validate_python(settings).model_dump(mode="json")
    except ValidationError as error:
        raise ValueError("settings of no known method") from error
    return checked


def method_settings(adaptation: Adaptation) -> MethodSettings:
    """The settings that the method is made from."""
    return _settings.validate_python(
        {"kind": adaptation.method, **adaptation.settings, "place": adaptation.place.value}
    )
