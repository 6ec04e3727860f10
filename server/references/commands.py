"""The page of all commands, made from the program that parses them."""

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

from server.cli import app
from server.references.markdown import table

_HEAD = """# Commands

Made from the program by `python -m server.references`; a test checks that it is current. `frag COMMAND --help` says
the same. Exit codes: 0 done, 1 something is wrong or to be mended, 2 a word or option that the command does not take,
others as the error says; each error names its mend. `--json`, where it is offered, prints one JSON object
and nothing else.
"""


def commands_page() -> str:
    """The page, in Markdown."""
    root: Any = typer.main.get_command(app)
    parts = [_HEAD]
    for words, command in _leaves(root, ()):
        parts += _section(words, command)
    return "\n".join(parts).rstrip() + "\n"


def _leaves(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401 - click's
    if not hasattr(command, "commands"):
        yield words, command
        return
    for name, inner in sorted(command.commands.items()):
        if not inner.hidden:
            yield from _leaves(inner, (*words, name))


def _section(words: tuple[str, ...], command: Any) -> Iterator[str]:  # noqa: ANN401
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    yield f"## frag {' '.join(words)}\n"
    yield " ".join((command.help or "").split()) + "\n"
    usage = " ".join(["frag", *words, *(_named(argument) for argument in arguments)])
    yield f"```text\n{usage}{' [OPTIONS]' if options else ''}\n```\n"
    rows = [(f"`{argument.name.upper()}`", _kind(argument), "", _help(argument)) for argument in arguments]
    rows += [
        (_names(option), _kind(option), _default(option), _help(option)) for option in options if option.name != "help"
    ]
    if shown := table(("name", "type", "default", "meaning"), rows):
        yield shown + "\n"


def _named(argument: Any) -> str:  # noqa: ANN401
    name = argument.name.upper() + ("…" if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _names(option: Any) -> str:  # noqa: ANN401
    names = ", ".join(f"`{name}`" for name in option.opts)
    return names + "".join(f" / `{name}`" for name in option.secondary_opts)


_TYPES = {str: "text", int: "whole number", float: "number", bool: "switch", Path: "path"}


def _kind(parameter: Any) -> str:  # noqa: ANN401
    kind = _inner(parameter.type_descriptor.annotation)
    if get_origin(kind) is Literal:
        shown = ", ".join(f"`{choice}`" for choice in get_args(kind))
    elif isinstance(kind, type) and issubclass(kind, Enum):
        shown = ", ".join(f"`{choice.value}`" for choice in kind)
    else:
        shown = _TYPES.get(kind, getattr(kind, "__name__", str(kind)))
    bounds = (("≥", getattr(parameter, "min", None)), ("≤", getattr(parameter, "max", None)))
    shown += "".join(f", {sign} {limit:g}" for sign, limit in bounds if limit is not None)
    return shown + (", may be repeated" if getattr(parameter, "multiple", False) else "")


def _inner(annotation: Any) -> Any:  # noqa: ANN401 - what typing hands out
    """Without `| None` and `list[…]`."""
    inside = [argument for argument in get_args(annotation) if argument is not type(None)]
    if inside and get_origin(annotation) is not Literal:
        return _inner(inside[0])
    return annotation


def _default(option: Any) -> str:  # noqa: ANN401
    if option.required:
        return "required"
    value = option.default
    if getattr(option, "is_flag", False):
        return "on" if value is True and option.secondary_opts else "off"
    if value is None or value == "" or callable(value):
        return ""
    return f"`{getattr(value, 'value', value)}`"


def _help(parameter: Any) -> str:  # noqa: ANN401
    variables = parameter.envvar or ()
    named = [variables] if isinstance(variables, str) else list(variables)
    said = (parameter.help or "").strip()
    return said + "".join(f" Also `{name}`." for name in named)
