"""One Chromium for all console tests; each test has a page of its own that may not complain."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.server.console.visitor import Visitor
from tests.server.in_process import InProcessFederation, in_process

CHROMIUM = shutil.which(os.environ.get("CHROMIUM", "chromium")) or shutil.which("chromium-browser")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without Chromium nothing can be shown; say which command mends it."""
    for item in items:
        if "visitor" in getattr(item, "fixturenames", ()) and CHROMIUM is None:
            item.add_marker(pytest.mark.skip(reason="Chromium is missing; `apt-get install chromium`, or set CHROMIUM"))


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield running
        await running.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context(
        viewport={"width": 1440, "height": 900},
        color_scheme="light",
        reduced_motion="reduce",
        permissions=["clipboard-read", "clipboard-write"],
    )
    context.set_default_timeout(8000)
    yield await context.new_page()
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def federation(tmp_path: Path) -> AsyncIterator[InProcessFederation]:
    async with in_process(tmp_path) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(page: Page) -> AsyncIterator[Visitor]:
    """Fails the test when the console logged an error that the test did not announce."""
    somebody = Visitor(page)
    yield somebody
    assert somebody.complaints() == []
