"""Coming in: keys that are wrong or weak, nobody there, nothing there, light and dark."""

import pytest
from playwright.async_api import expect

from server.coordinator.auth import hash_api_key, new_api_key
from tests.server.console.visitor import Visitor
from tests.server.in_process import InProcessFederation, says

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_wrong_key_is_refused_with_what_to_do(federation: InProcessFederation, visitor: Visitor) -> None:
    visitor.expected.add(401)
    page = visitor.page
    await visitor.sign_in(federation.url, "frag_wrong")
    await expect(page.get_by_role("alert")).to_contain_text("unknown or revoked")
    await expect(page.get_by_role("alert")).to_contain_text("frag coordinator key add")
    assert "null" not in await page.locator("body").inner_text()
    await visitor.inspect("wrong-key")
    await page.get_by_label("API key").fill(federation.api_key)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Ask")).to_be_visible()


async def test_the_key_stays_in_the_tab_and_out_of_addresses(federation: InProcessFederation, visitor: Visitor) -> None:
    page, seen = visitor.page, list[str]()
    page.on("request", lambda request: seen.append(request.url))
    await visitor.sign_in(federation.url, federation.api_key)
    await expect(page.get_by_role("heading", name="Ask")).to_be_visible()
    assert await page.evaluate("[sessionStorage.length, localStorage.length, document.cookie]") == [1, 0, ""]
    await page.reload()
    await expect(page.get_by_role("heading", name="Ask")).to_be_visible()
    assert not [url for url in seen if federation.api_key in url]
    assert all(url.startswith(federation.url) for url in seen), "everything comes from the coordinator"
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("API key")).to_be_visible()
    assert await page.evaluate("sessionStorage.length") == 0


async def test_an_empty_federation_leads_to_enrolling(federation: InProcessFederation, visitor: Visitor) -> None:
    page = visitor.page
    await visitor.sign_in(federation.url, federation.api_key)
    await expect(page.get_by_role("heading", name="No node has joined yet")).to_be_visible()
    await visitor.inspect("empty")
    await page.get_by_role("link", name="Enroll a node").click()
    await expect(page.get_by_role("heading", name="This federation is empty")).to_be_visible()
    await visitor.go_to("Training")
    await expect(page.get_by_role("heading", name="No job yet")).to_be_visible()
    await visitor.inspect("no-jobs")
    await page.get_by_role("link", name="Start the first job").click()
    await expect(page.get_by_role("heading", name="No connected node holds a data set")).to_be_visible()


async def test_a_dead_coordinator_is_said_and_comes_back(federation: InProcessFederation, visitor: Visitor) -> None:
    page = visitor.page
    await federation.join("a", says("yes"))
    await visitor.sign_in(federation.url, federation.api_key)
    await expect(page.get_by_label("Question")).to_be_visible()
    await page.route("**/v1/**", lambda route: route.abort("connectionrefused"))
    visitor.offline_is_fine = True
    await visitor.ask("Anybody?")
    await expect(page.get_by_role("alert")).to_contain_text("No connection to the coordinator")
    await page.get_by_role("navigation").get_by_role("link", name="Nodes").click()
    await expect(page.get_by_role("alert")).to_contain_text("frag coordinator run")
    await visitor.inspect("no-connection")
    await page.unroute("**/v1/**")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_role("heading", name="Nodes")).to_be_visible()


async def test_an_asker_sees_nothing_that_the_key_does_not_open(
    federation: InProcessFederation, visitor: Visitor
) -> None:
    key = new_api_key()
    await federation.state.database.add_key("asker", hash_api_key(key), frozenset({"query"}))
    await federation.join("a", says("yes"))
    await visitor.sign_in(federation.url, key)
    links = visitor.page.get_by_role("navigation").get_by_role("link")
    await expect(links).to_have_text(["Ask", "Nodes", "Training", "Privacy"])
    await visitor.go_to("Nodes")
    await expect(visitor.page.get_by_role("heading", name="Enroll a node")).to_have_count(0)
    await visitor.go_to("Training")
    await expect(visitor.page.get_by_text("Your key does not see jobs")).to_be_visible()
    await expect(visitor.page.get_by_role("button", name="Promote")).to_have_count(0)


async def test_the_switch_turns_the_page_dark_and_is_remembered(
    federation: InProcessFederation, visitor: Visitor
) -> None:
    page = visitor.page
    await page.goto(federation.url)
    paper = "getComputedStyle(document.body).backgroundColor"
    light = await page.evaluate(paper)
    button = page.get_by_role("button", name="Theme")
    await button.click()
    await button.click()
    await expect(button).to_have_text("Theme: dark")
    assert await page.evaluate(paper) != light
    await page.reload()
    await expect(page.get_by_role("button", name="Theme")).to_have_text("Theme: dark")
