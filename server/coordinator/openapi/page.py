"""The document as a page: rendered here, so that it needs no script, no network and no laxer policy."""

from collections.abc import Mapping
from html import escape
from typing import Any

Json = Mapping[str, Any]

CSP = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

_TAGS = ("Asking", "OpenAI", "Training", "Nodes", "Administration", "Operations")
"""In this order; others follow."""

STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 25%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1, h2, h3 { line-height: 1.2; }
code { font: 0.9em ui-monospace, monospace; overflow-wrap: anywhere; }
details { border: 1px solid var(--line); border-radius: 0.4rem; margin: 0.5rem 0; padding: 0.4rem 0.8rem; }
summary { cursor: pointer; }
summary b { display: inline-block; min-width: 4.5rem; }
table { border-collapse: collapse; width: 100%; display: block; overflow-x: auto; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.8rem 0.25rem 0; border-top: 1px solid var(--line); }
"""


def render(document: Json) -> str:
    """One page of HTML. Every text of the document is escaped."""
    tags: dict[str, list[str]] = {tag: [] for tag in _TAGS}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tags.setdefault(operation["tags"][0], []).append(_operation(method.upper(), path, operation))
    sections = "".join(f"<h2>{escape(tag)}</h2>{''.join(shown)}" for tag, shown in tags.items() if shown)
    schemas = "".join(_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items()))
    info = document["info"]
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(info['title'])}</title><link rel='stylesheet' href='/docs/style.css'></head><body><main>"
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>{_prose(info['description'])}"
        "<p>The same for programs: <a href='/openapi.json'>/openapi.json</a> (OpenAPI 3.1).</p>"
        f"{sections}<h2>Schemas</h2>{schemas}</main></body></html>"
    )


def _operation(method: str, path: str, operation: Json) -> str:
    scopes = [scope for entry in operation["security"] for scope in entry["key"]]
    needs = f"API key with scope {' or '.join(scopes)}" if scopes else "no API key"
    body = operation.get("requestBody")
    parts = [_prose(operation.get("description", "")), f"<p>Needs {escape(needs)}.</p>"]
    if body:
        parts.append(f"<p>Takes {_contents(body['content'])}.</p>")
    parts.append("<ul>")
    for status, response in operation["responses"].items():
        content = f": {_contents(response['content'])}" if "content" in response else ""
        parts.append(f"<li><code>{escape(status)}</code> {_inline(response['description'])}{content}</li>")
    parts.append("</ul>")
    head = f"<summary><b>{method}</b> <code>{escape(path)}</code> {escape(operation['summary'])}</summary>"
    return f"<details>{head}{''.join(parts)}</details>"


def _contents(content: Json) -> str:
    return ", ".join(f"{_type(entry['schema'])} <small>({escape(kind)})</small>" for kind, entry in content.items())


def _schema(name: str, schema: Json) -> str:
    required = schema.get("required", ())
    rows = "".join(
        f"<tr><td><code>{escape(key)}</code>{'' if key in required else ' <small>optional</small>'}</td>"
        f"<td>{_type(field)}</td><td>{_limits(field)}{_inline(str(field.get('description', '')))}</td></tr>"
        for key, field in schema.get("properties", {}).items()
    )
    fields = (
        f"<table><thead><tr><th scope='col'>member</th><th scope='col'>type</th><th scope='col'>about</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
        if rows
        else f"<p>{_type(schema)}</p>"
    )
    about = _prose(schema.get("description", ""))
    return f"<details id='{escape(name)}'><summary><code>{escape(name)}</code></summary>{about}{fields}</details>"


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[1])
        return f"<a href='#{name}'>{name}</a>"
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(map(_type, choices))
    if values := schema.get("enum") or [schema[name] for name in ("const",) if name in schema]:
        return " | ".join(f"<code>{escape(str(value))}</code>" for value in values)
    kind = schema.get("type", "any")
    if kind == "array" and isinstance(schema.get("items"), Mapping):
        return f"list of {_type(schema['items'])}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"map to {_type(schema['additionalProperties'])}"
    return escape(" or ".join(kind) if isinstance(kind, list) else str(kind))


_LIMITS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "minLength", "maxLength", "pattern", "default")


def _limits(schema: Json) -> str:
    found = [f"{name} <code>{escape(str(schema[name]))}</code>" for name in _LIMITS if name in schema]
    return f"<small>{', '.join(found)}</small> " if found else ""


def _prose(text: str) -> str:
    return f"<p>{_inline(text)}</p>" if text else ""


def _inline(text: str) -> str:
    """Escaped, and what stands between backticks as code."""
    return "".join(
        f"<code>{escape(part)}</code>" if index % 2 else escape(part) for index, part in enumerate(text.split("`"))
    )
