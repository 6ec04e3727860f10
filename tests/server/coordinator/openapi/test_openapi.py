"""The description of the API is whole, valid, true of real answers, and shown offline."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
from openapi_spec_validator import OpenAPIV31SpecValidator

from server.coordinator.app import make_app
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.openapi.document import make_document, routes_of
from server.coordinator.openapi.operations import OPERATIONS
from server.coordinator.openapi.page import render
from tests.server.in_process import in_process, says


def test_every_registered_route_is_in_a_valid_document(tmp_path: Path) -> None:
    folder = CoordinatorFolder(tmp_path)
    folder.create("127.0.0.1", 0)
    app = make_app(folder)
    document = make_document(app)
    OpenAPIV31SpecValidator(document).validate()
    registered = {(method, path) for method, path, _ in routes_of(app)}
    described = {(m.upper(), path) for path, methods in document["paths"].items() for m in methods}
    assert registered == described
    assert len(registered) > 25
    assert OPERATIONS.keys() <= registered, "what is described exists"
    assert all(methods[m]["summary"] for methods in document["paths"].values() for m in methods)


async def test_real_answers_fit_their_schemas(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        _, document = await federation.get("/openapi.json")
        await federation.join("a", says("yes"))
        answers = {
            ("/v1/query", "post"): await federation.ask(question="q"),
            ("/v1/nodes", "get"): await federation.get("/v1/nodes"),
            ("/v1/models", "get"): await federation.get("/v1/models"),
            ("/v1/jobs", "get"): await federation.get("/v1/jobs"),
            ("/v1/prompts", "get"): await federation.get("/v1/prompts"),
            ("/readyz", "get"): await federation.get("/readyz"),
            ("/v1/chat/completions", "post"): await federation.post(
                "/v1/chat/completions", {"model": "frag", "messages": [{"role": "user", "content": "q"}]}
            ),
        }
        refused = await federation.ask(question="")
        strange = await federation.post("/v1/responses", {"model": "x", "input": "q"})
    for (path, method), (status, body) in answers.items():
        assert status == 200
        check(document, path, method, "200", "application/json", body)
    check(document, "/v1/query", "post", "default", "application/problem+json", refused[1])
    check(document, "/v1/responses", "post", "default", "application/json", strange[1])


def check(document: dict[str, Any], path: str, method: str, status: str, kind: str, body: object) -> None:
    schema = document["paths"][path][method]["responses"][status]["content"][kind]["schema"]
    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(body)


class Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]
        self.ids |= {value or "" for name, value in attrs if name == "id"}
        assert not [name for name, _ in attrs if name == "style" or name.startswith("on")]


async def test_the_page_loads_nothing_from_elsewhere_and_runs_no_script(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        async with federation.session.get(f"{federation.url}/docs") as answer:
            page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
        async with federation.session.get(f"{federation.url}/docs/style.css") as sheet:
            assert sheet.content_type == "text/css"
    seen = Seen()
    seen.feed(page)
    assert policy.startswith("default-src 'none'; style-src 'self'")
    assert "unsafe" not in policy
    assert "script" not in seen.tags
    assert {link for link in seen.links if not link.startswith("#")} == {"/docs/style.css", "/openapi.json"}
    assert {link[1:] for link in seen.links if link.startswith("#")} <= seen.ids, "links lead somewhere"
    for _, path in OPERATIONS:
        assert path in page


def test_texts_of_the_document_are_escaped_on_the_page() -> None:
    evil = "<script>alert(1)</script>"
    operation = {
        "tags": [evil],
        "summary": evil,
        "description": evil,
        "security": [],
        "responses": {"200": {"description": evil}},
    }
    schemas = {evil: {"description": evil, "properties": {evil: {"type": evil, "default": evil}}}}
    document = {
        "info": {"title": evil, "version": "1", "description": evil},
        "paths": {f"/{evil}": {"get": operation}},
        "components": {"schemas": schemas},
    }
    assert not re.search("<script", render(document))
