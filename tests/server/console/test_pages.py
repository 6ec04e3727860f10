"""The console's files over HTTP: all there, under a policy that lets nothing else run, and nothing beside them."""

import re

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from server.console.pages import console_routes, load_assets


@pytest.fixture
async def client() -> TestClient:
    app = web.Application()
    app.add_routes(console_routes())
    async with TestClient(TestServer(app)) as running:
        yield running


async def test_the_page_needs_no_key_and_forbids_what_is_inline(client: TestClient) -> None:
    answer = await client.get("/")
    policy = answer.headers["Content-Security-Policy"]
    page = await answer.text()
    assert answer.status == 200
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|style=|https?://", page)


async def test_every_file_that_is_named_exists_and_is_whole(client: TestClient) -> None:
    texts = {path: asset.content.decode() for path, asset in load_assets().items()}
    for path, text in texts.items():
        for named in re.findall(r'(?:from|import) "(\.[^"]+)"', text):
            base = path.rpartition("/")[0]
            parts = f"{base}/{named}".split("/")
            while ".." in parts:
                at = parts.index("..")
                del parts[at - 1 : at + 1]
            assert "/".join(part for part in parts if part not in {"", "."}) in texts, (path, named)
        for risky in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
            assert risky not in text, (path, risky)
    for named in re.findall(r'"/console/([^"]+)"', texts["index.html"]):
        answer = await client.get(f"/console/{named}")
        assert (answer.status, await answer.text()) == (200, texts[named])


async def test_a_file_that_is_known_already_is_not_sent_again(client: TestClient) -> None:
    first = await client.get("/console/app.js")
    again = await client.get("/console/app.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")


@pytest.mark.parametrize("path", ["nothing.js", "../pages.py", "%2e%2e/pages.py", "views", "__init__.py"])
async def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    from yarl import URL

    base = str(client.make_url("/console/"))
    async with aiohttp.ClientSession() as session, session.get(URL(base + path, encoded=True)) as answer:
        assert answer.status == 404
