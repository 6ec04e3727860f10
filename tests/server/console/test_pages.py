"""The console's files: all that they name is there, and nothing in them needs more than the policy allows."""

import re
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from server.console.pages import console_routes, load_assets

ASSETS = load_assets()
SCRIPTS = {path: asset.content.decode() for path, asset in ASSETS.items() if path.endswith(".js")}


@pytest.fixture
async def served() -> AsyncIterator[ClientSession]:
    app = web.Application()
    app.add_routes(console_routes())
    async with TestServer(app) as server, ClientSession(server.make_url("/")) as session:
        yield session


async def test_the_page_is_served_with_all_that_it_names(served: ClientSession) -> None:
    async with served.get("/") as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        policy = answer.headers["Content-Security-Policy"]
        page = await answer.text()
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    named = re.findall(r'(?:src|href)="(/[^"]+)"', page)
    assert len(named) >= 3
    for path in named:
        async with served.get(path) as answer:
            assert answer.status == 200, path
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
    async with served.get("/console/absent.js") as answer:
        assert answer.status == 404


@pytest.mark.parametrize("path", sorted(SCRIPTS))
def test_every_module_that_is_imported_is_there(path: str) -> None:
    folder = path.rpartition("/")[0]
    for name in re.findall(r'(?:from|import)\s+"(\.[^"]+)"', SCRIPTS[path]):
        parts = folder.split("/") if folder else []
        for step in name.split("/"):
            parts = parts[:-1] if step == ".." else parts if step == "." else [*parts, step]
        assert "/".join(parts) in ASSETS, f"{path} imports {name}"


@pytest.mark.parametrize("path", sorted(SCRIPTS))
def test_what_peers_send_is_put_in_as_text_alone(path: str) -> None:
    for risky in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert risky not in SCRIPTS[path]


def test_nothing_is_loaded_from_elsewhere() -> None:
    for path, asset in ASSETS.items():
        text = asset.content.decode().replace("http://www.w3.org", "")
        assert not re.search(r"(?:src|href|import|url)\W{1,3}https?://", text), path
