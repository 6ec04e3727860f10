"""The page of the HTTP API and the Python client, made from the OpenAPI document and from docstrings."""

import inspect
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

import frag.client
from server.coordinator.app import make_app
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.openapi.document import make_document
from server.references.markdown import table

_HEAD = """# API

Made from `/openapi.json` and the docstrings of `frag.client` by `python -m server.references`; a test checks that it is
current. A running coordinator shows the first part at `/docs`, without a network.

Send an API key as `Authorization: Bearer frag_…`. Scopes stand beside each operation; `admin` may do everything. An
error is a problem document (RFC 9457) with a stable `code` and a `mend`, on OpenAI's routes in OpenAI's form.
"""
_TAGS = ("Asking", "OpenAI", "Training", "Nodes", "Administration", "Operations")
_CALLABLE = (frag.client.Client, frag.client.SyncClient)
Json = Mapping[str, Any]


def api_page() -> str:
    """The page, in Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        place = CoordinatorFolder(Path(folder))
        place.create("127.0.0.1", 0)
        document = make_document(make_app(place))
    return "\n".join([_HEAD, *_routes(document), *_schemas(document), *_client()]).rstrip() + "\n"


def _routes(document: Json) -> Iterator[str]:
    tags: dict[str, list[str]] = {tag: [] for tag in _TAGS}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tags.setdefault(operation["tags"][0], []).append(_operation(method.upper(), path, operation))
    yield "## HTTP\n"
    for tag, shown in tags.items():
        if shown:
            yield f"### {tag}\n"
            yield from shown


def _operation(method: str, path: str, operation: Json) -> str:
    scopes = [scope for entry in operation["security"] for scope in entry["key"]]
    needs = f"scope {' or '.join(f'`{scope}`' for scope in scopes)}" if scopes else "no key"
    lines = [f"**`{method} {path}`** ({needs}). {_words(operation['summary'])}"]
    if about := operation.get("description"):
        lines.append(_words(about))
    if body := operation.get("requestBody"):
        lines.append(f"Takes {_contents(body['content'])}.")
    for status, response in operation["responses"].items():
        if status != "default":
            given = f": {_contents(response['content'])}" if "content" in response else ""
            lines.append(f"Gives {status} {_words(response['description']).rstrip('.')}{given}.")
    return "\n".join(lines) + "\n"


def _words(text: str) -> str:
    """As it is but for what Markdown would take for a tag."""
    parts = " ".join(text.split()).split("`")
    return "`".join(part.replace("<", "&lt;") if at % 2 == 0 else part for at, part in enumerate(parts))


def _contents(content: Json) -> str:
    return ", ".join(f"{_type(entry['schema'])} (`{kind}`)" for kind, entry in content.items())


def _schemas(document: Json) -> Iterator[str]:
    yield "## Schemas\n"
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield f"### {name}\n"
        if about := schema.get("description"):
            yield _words(about) + "\n"
        required = schema.get("required", ())
        rows = [
            (f"`{key}`", _type(field) + ("" if key in required else ", optional"), _limits(field), _about(field))
            for key, field in schema.get("properties", {}).items()
        ]
        yield (table(("member", "type", "limits", "meaning"), rows) or _type(schema)) + "\n"


def _about(field: Json) -> str:
    return _words(str(field.get("description", "")))


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(map(_type, choices))
    if values := schema.get("enum") or ([schema["const"]] if "const" in schema else None):
        return ", ".join(f"`{value}`" for value in values)
    kind = schema.get("type", "any")
    if kind == "array" and isinstance(schema.get("items"), Mapping):
        return f"list of {_type(schema['items'])}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"map to {_type(schema['additionalProperties'])}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


_SIGNS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_NAMES = {"minLength": "at least {} characters", "maxLength": "at most {} characters", "pattern": "`{}`"}


def _limits(schema: Json) -> str:
    found = [f"{sign} {schema[name]}" for name, sign in _SIGNS.items() if name in schema]
    found += [words.format(schema[name]) for name, words in _NAMES.items() if name in schema]
    if "default" in schema and schema["default"] not in (None, "", [], {}):
        found.append(f"default `{schema['default']}`")
    return ", ".join(found)


def _client() -> Iterator[str]:
    yield "## Python: frag.client\n"
    yield inspect.cleandoc(frag.client.__doc__ or "") + "\n"
    for kind in _CALLABLE:
        yield f"### class {kind.__name__}\n"
        yield _docstring(kind) + "\n"
        for name, member in vars(kind).items():
            if not name.startswith("_") and inspect.isfunction(member):
                yield f"**`{name}{_signature(member)}`**  \n{_docstring(member)}\n"
    for name in sorted(frag.client.__all__):
        kind = getattr(frag.client, name)
        if isinstance(kind, type) and kind not in _CALLABLE:
            yield f"### class {name}\n"
            yield _docstring(kind) + "\n"
            if issubclass(kind, msgspec.Struct):
                rows = [(f"`{field.name}`", f"`{_annotation(field.type)}`") for field in msgspec.structs.fields(kind)]
                yield table(("member", "type"), rows) + "\n"


def _signature(member: Any) -> str:  # noqa: ANN401 - a function
    signature = inspect.signature(member)
    kept = [
        parameter.replace(annotation=inspect.formatannotation(parameter.annotation).replace("'", ""))
        if parameter.annotation is not parameter.empty
        else parameter
        for name, parameter in signature.parameters.items()
        if name != "self"
    ]
    return _unquoted(str(signature.replace(parameters=kept)))


def _annotation(kind: object) -> str:
    return _unquoted(inspect.formatannotation(kind))


def _unquoted(text: str) -> str:
    for noise in ("frag.client.views.", "frag.client.events.", "collections.abc.", "pathlib.", "typing.", "'"):
        text = text.replace(noise, "")
    return text


def _docstring(thing: object) -> str:
    """As paragraphs; `Args` and `Raises` as lists."""
    lines = []
    for line in (inspect.getdoc(thing) or "").splitlines():
        text = line.strip()
        if text in {"Args:", "Raises:", "Returns:"}:
            lines += [text, ""]
        elif line.startswith("    ") and lines and ":" in text:
            name, _, rest = text.partition(":")
            lines.append(f"- `{name}`:{rest}")
        else:
            lines.append(text)
    return "\n".join(lines)
