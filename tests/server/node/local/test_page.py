"""The operator's page in a real Chromium."""

import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.server.node.local.conftest import View

pytest.importorskip("playwright")
from playwright.async_api import Browser, Page, async_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; `apt-get install chromium`")
KEYS = "The porter keeps the brass keys behind the oak door of the chapel."
QUESTION = "Where does the porter keep the brass keys?"
PICTURES = os.environ.get("FRAG_TEST_PICTURES", "")


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        made = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        await made.close()


async def open_page(
    browser: Browser, view: View, *, scheme: str = "light", width: int = 1440
) -> tuple[Page, list[str]]:
    """The page, logged in, and what its console complains of."""
    page = await browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(f"{view.url}/#token={view.token}")
    await page.get_by_text("Answers leave, as the policy says.").wait_for()
    return page, complaints


async def test_the_operator_sees_tries_and_stops(view: View, browser: Browser) -> None:
    await view.put("keys.txt", KEYS)
    await view.ask(QUESTION)
    page, complaints = await open_page(browser, view)
    assert view.token not in page.url
    assert await page.locator("#node").inner_text() == "alpha"
    assert "notes" in await page.locator("#collections").inner_text()
    assert "none: 1" in await page.locator("#today").inner_text()
    assert "no run of 16 or more words" in await page.locator("#policy").inner_text()

    await page.get_by_label("Question").fill(QUESTION)
    await page.get_by_label("Mode").select_option("none")
    await page.get_by_role("button", name="Show").click()
    await page.locator("#dry blockquote").wait_for()
    assert await page.locator("#dry blockquote").inner_text() == KEYS
    assert "notes/keys.txt" in await page.locator("#dry").inner_text()

    await page.get_by_label("Why").fill("an audit")
    await page.get_by_label("Why").press("Enter")
    await page.get_by_text("Reason: an audit").wait_for()
    assert view.gate.stopped
    await page.keyboard.press("Enter")  # the focus has moved to the button that undoes it
    await page.get_by_text("Answers leave, as the policy says.").wait_for()
    assert not view.gate.stopped
    assert complaints == []


async def test_a_wrong_token_is_said_and_asked_for_again(view: View, browser: Browser) -> None:
    page = await browser.new_page()
    await page.goto(view.url)
    await page.get_by_label("Token of this node").fill("wrong")
    await page.get_by_role("button", name="Open").click()
    await page.get_by_role("alert").get_by_text("local.token").wait_for()
    await page.get_by_label("Token of this node").fill(view.token)
    await page.get_by_role("button", name="Open").click()
    await page.get_by_role("button", name="Stop all release").wait_for()
    assert not await page.get_by_role("alert").is_visible()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
async def test_it_is_accessible_and_fits(view: View, browser: Browser, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.async_playwright").Axe()
    await view.put("keys.txt", KEYS)
    await view.ask(QUESTION)
    await view.ask("Why do mountains hum?")
    page, complaints = await open_page(browser, view, scheme=scheme, width=width)
    await page.get_by_label("Question").fill(QUESTION)
    await page.get_by_label("Mode").select_option("none")
    await page.get_by_role("button", name="Show").click()
    await page.locator("#dry blockquote").wait_for()
    found = await axe.run(page)
    serious = [v["id"] for v in found.response["violations"] if v["impact"] in ("serious", "critical")]
    assert serious == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = "[...document.querySelectorAll('.scroll')].filter((box) => box.scrollWidth > box.clientWidth + 1).length"
    assert await page.evaluate(boxes) == 0, "a table is cut"
    hashes = page.locator("#newest .hash").filter(has_text=re.compile(r"^[0-9a-f]{32}$"))
    assert await hashes.count() == 1
    assert complaints == []
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / f"node-{scheme}-{width}.png", full_page=True)
