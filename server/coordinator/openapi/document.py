"""The OpenAPI 3.1 document of an application: its route table, with schemas from the types."""

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

import frag
from prompt_tuning.job import JobSettings
from server.coordinator.openai.errors import PATHS
from server.coordinator.openapi.operations import JOB_SETTINGS, OPERATIONS, OpenAIError, Operation, Problem

_REF = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+)\}")
_ABOUT = (
    "One question across documents that may not leave their owners. Send an API key as `Authorization: Bearer …`; "
    "the scopes that each operation needs stand beside it. A key of scope `admin` may do everything."
)
Json = dict[str, Any]


def make_document(app: web.Application) -> Json:
    """The document of all routes that `app` has now, as JSON types."""
    kinds = _kinds()
    shapes, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    schemas = dict(zip(map(_key, kinds), shapes, strict=True)) | {JOB_SETTINGS: _job_settings(components)}
    paths: dict[str, Json] = {}
    for method, path, about in routes_of(app):
        operation = OPERATIONS.get((method, path), Operation(tag="Other"))
        paths.setdefault(path, {})[method.lower()] = _described(method, path, about, operation, schemas)
    document = {
        "openapi": "3.1.0",
        "info": {"title": "frag coordinator", "version": frag.__version__, "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key."}},
        },
    }
    return msgspec.json.decode(msgspec.json.encode(document), type=Json)  # defaults are tuples and enums


def routes_of(app: web.Application) -> Iterator[tuple[str, str, str]]:
    """(method, path, what the handler says about itself) of each route; HEAD goes with its GET."""
    for route in app.router.routes():
        if route.resource is not None and route.method not in {"HEAD", "*"}:
            yield route.method, route.resource.canonical, route.handler.__doc__ or ""


def _kinds() -> list[Any]:
    taken = [
        kind for operation in OPERATIONS.values() for kind in (operation.body, operation.gives, operation.or_gives)
    ]
    return list(
        {_key(kind): kind for kind in [*taken, Problem, OpenAIError] if kind not in (None, JOB_SETTINGS)}.values()
    )


def _key(kind: object) -> str:
    return kind if isinstance(kind, str) else repr(kind)


def _job_settings(components: Json) -> Json:
    """Pydantic's own schema, its parts put beside the others."""
    schema = JobSettings.model_json_schema(ref_template=_REF.replace("{name}", "{model}"))
    parts = schema.pop("$defs", {})
    if both := components.keys() & {*parts, JOB_SETTINGS}:
        raise RuntimeError(f"two schemas have one name: {sorted(both)}")
    components |= parts | {JOB_SETTINGS: schema}
    return {"$ref": _REF.format(name=JOB_SETTINGS)}


def _described(method: str, path: str, about: str, operation: Operation, schemas: Mapping[str, Json]) -> Json:
    summary, _, more = about.strip().partition("\n")
    name = re.sub(r"\W+", "_", f"{method.lower()}{path}").strip("_")
    described: Json = {"operationId": name, "tags": [operation.tag], "summary": summary or f"{method} {path}"}
    if more.strip():
        described["description"] = " ".join(more.split())
    if parameters := _PARAMETER.findall(path):
        described["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in parameters
        ]
    if operation.body is not None:
        content = {"application/json": {"schema": schemas[_key(operation.body)]}}
        described["requestBody"] = {"required": True, "content": content}
    described["security"] = [{"key": list(operation.scopes)}] if operation.scopes else []
    described["responses"] = _responses(path, operation, schemas)
    return described


def _responses(path: str, operation: Operation, schemas: Mapping[str, Json]) -> Json:
    good: Json = {"description": operation.streams or HTTPStatus(operation.status).phrase}
    content: Json = {}
    if operation.gives is not None:
        given = [schemas[_key(kind)] for kind in (operation.gives, operation.or_gives) if kind is not None]
        content["application/json"] = {"schema": given[0] if len(given) == 1 else {"anyOf": given}}
    if operation.streams:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    if content:
        good["content"] = content
    ours = path.startswith(PATHS)
    error = schemas[_key(OpenAIError if ours else Problem)]
    kind = "application/json" if ours else "application/problem+json"
    wrong = {"description": "What is wrong, and what to do.", "content": {kind: {"schema": error}}}
    return {str(operation.status): good, "default": wrong}
