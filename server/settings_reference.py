"""The page of all settings, made from the classes that read them."""

import types
from collections.abc import Iterator
from enum import Enum
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from frag.settings import CoordinatorSettings, NodeSettings

_HEAD = """# Settings

Made from the settings classes by `frag settings`; a test checks that it is current. A file is read once at start.
Unknown names and values that do not fit are refused with their place. An environment variable goes before the file;
lists and tables in it are JSON. Units are in the name: `_s` seconds, `_ms` milliseconds, `_h` hours, `_tokens` tokens
of the model.
"""


def reference() -> str:
    """The page, in Markdown."""
    parts = [_HEAD]
    for file, kind in (("coordinator.toml", CoordinatorSettings), ("node.toml", NodeSettings)):
        parts.append(f"## {file}\n")
        parts.extend(_sections(kind, (), str(kind.model_config["env_prefix"])))
    return "\n".join(parts).rstrip() + "\n"


def _sections(kind: type[BaseModel], path: tuple[str, ...], prefix: str) -> Iterator[str]:
    """The table of a class, then those of the classes inside it."""
    plain = {name: field for name, field in kind.model_fields.items() if _inner(field.annotation) is None}
    if path:
        yield f"### {_title(path)}\n"
    if path and kind.__doc__:
        yield " ".join(kind.__doc__.split()) + "\n"
    if plain:
        yield "| name | type | default | environment | meaning |\n|---|---|---|---|---|"
        yield "\n".join(_row(name, field, path, prefix) for name, field in plain.items()) + "\n"
    for name, field in kind.model_fields.items():
        if (inner := _inner(field.annotation)) is not None:
            model, is_list = inner
            yield from _sections(model, (*path, f"[{name}]" if is_list else name), prefix)


def _title(path: tuple[str, ...]) -> str:
    names = ".".join(part.strip("[]") for part in path)
    return f"`[[{names}]]`" if path[-1].startswith("[") else f"`[{names}]`"


def _row(name: str, field: FieldInfo, path: tuple[str, ...], prefix: str) -> str:
    in_list = any(part.startswith("[") for part in path)
    variable = "" if in_list else f"`{prefix}{'__'.join((*path, name)).upper()}`"
    meaning = " ".join((field.description or "").split())
    cells = (f"`{name}`", _type(field.annotation, field.metadata), _default(field), variable, meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _inner(annotation: Any) -> tuple[type[BaseModel], bool] | None:  # noqa: ANN401 - what typing hands out
    """The settings class in an annotation, and whether there may be many."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    is_list = get_origin(annotation) is tuple
    for argument in get_args(annotation):
        if (found := _inner(argument)) is not None:
            return found[0], is_list or found[1]
    return None


def _type(annotation: Any, metadata: list[Any] = []) -> str:  # noqa: ANN401, B006 - never changed
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0], list(arguments[1:]))
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in {Union, types.UnionType}:
        return " or ".join(_type(argument) for argument in arguments if argument is not type(None))
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{value.value}`" for value in annotation)
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    shown = names.get(annotation, "path" if issubclass(annotation, PurePath) else annotation.__name__)
    return shown + "".join(_bound(limit) for limit in metadata)


def _bound(limit: object) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    return "".join(
        f", {sign} {getattr(limit, name)}" for name, sign in signs.items() if getattr(limit, name, None) is not None
    )


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if field.default is None or field.default in ("", ()):
        return "none"
    return f"`{_plain(field.default)}`"


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_plain(entry) for entry in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
