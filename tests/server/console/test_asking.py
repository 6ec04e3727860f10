"""Asking in a real browser: nodes reply one by one, and the page says who, why not, and what is promised."""

import asyncio

import pytest
from playwright.async_api import expect

from frag.answers import Synthesize
from frag.protocols import TextListener
from frag.types import AnswerMode, Citation, Generation, GenerationRequest, NodeAnswer
from server.wire.messages import Ask
from tests.server.console.visitor import Visitor
from tests.server.in_process import InProcessFederation, Script, says, withholds
from tests.server.node.feedback.silo import ABOUT_BOILER, BOILER, silo

pytestmark = pytest.mark.asyncio(loop_scope="session")
ANSWER = "Five working days for an MRI without contrast, nine with it."


def when_told(told: asyncio.Event, text: str) -> Script:
    async def script(ask: Ask) -> NodeAnswer:
        await told.wait()
        return NodeAnswer(
            node_id="",
            mode=ask.answer_mode,
            text=text,
            score=0.91,
            redactions={"PERSON": 2},
            citations=(Citation(document_alias="9f0c11aa", score=0.82),),
            timings_ms={"retrieve_ms": 4.2, "generate_ms": 812.0},
        )

    return script


async def test_nodes_are_watched_while_they_answer(federation: InProcessFederation, visitor: Visitor) -> None:
    told, page = asyncio.Event(), visitor.page
    await federation.join("clinic-north", when_told(told, ANSWER))
    await federation.join("clinic-south", says("About a week.", 0.4))
    await federation.join("clinic-west", withholds("no_evidence"))
    await federation.enroll("clinic-away")
    await visitor.sign_in(federation.url, federation.api_key)
    await expect(page.get_by_text("3 of 4 nodes are connected.")).to_be_visible()
    await visitor.ask("How long is the waiting time for an MRI?")
    board = page.get_by_role("listitem")
    await expect(board.filter(has_text="clinic-south")).to_contain_text("Answered")
    await expect(board.filter(has_text="clinic-west")).to_contain_text("Withheld")
    await expect(board.filter(has_text="clinic-away")).to_contain_text("Not connected")
    await expect(board.filter(has_text="clinic-north")).to_contain_text("Searching and writing")
    await expect(page.get_by_role("article")).to_have_count(0)
    await visitor.inspect("asking")
    told.set()
    answer = page.get_by_role("article")
    await expect(answer.locator(".answer-text")).to_have_text(ANSWER)
    await expect(answer).to_contain_text("Rests on clinic-north")
    await expect(answer).to_contain_text("Found no passage that fits the question.")
    await expect(answer).to_contain_text("Enrolled, but not connected.")
    await expect(answer).to_contain_text("A filter, not differential privacy.")
    await expect(answer).to_contain_text("9f0c11aa")
    await expect(answer).to_contain_text("2 × PERSON")
    await expect(answer).to_contain_text("812 ms")
    await visitor.inspect("answer")


class Pen:
    """Writes a sentence that holds and a word of one that does not, and the rest when told."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.first, self.rest = "Zanoril is offered by the Hillside clinic.", "Its founder sailed a purple barrel."

    async def write(self, _request: GenerationRequest) -> Generation:
        return Generation(text=f"{self.first} {self.rest}", token_logprob=-0.1, num_prompt_tokens=1, num_new_tokens=1)

    async def aloud(self, request: GenerationRequest, listener: TextListener, /) -> Generation:
        listener(f"{self.first} Its founder")
        await self.go_on.wait()
        return await self.write(request)


async def test_a_merged_answer_is_shown_while_it_is_written(federation: InProcessFederation, visitor: Visitor) -> None:
    pen, page = Pen(), visitor.page
    await federation.join("north", says(pen.first, 0.8))
    await federation.join("south", says("The dose of Zanoril is 40 mg.", 0.7))
    method = Synthesize(pen.write, write_aloud=pen.aloud)
    federation.synthesize_by(method)
    await visitor.sign_in(federation.url, federation.api_key)
    await page.get_by_text("More choices").click()
    await page.get_by_label("Merge answers by").select_option("synthesize")
    await visitor.ask("Which clinic offers Zanoril, and what is its dose?")
    draft = page.get_by_label("Answer under way")
    await expect(draft.locator(".answer-text")).to_have_text(f"{pen.first} Its founder")
    await expect(draft.locator(".provisional")).to_have_text("Its founder")
    await expect(page.get_by_role("status").first).to_have_text("The answer is being written")
    await visitor.inspect("writing")
    pen.go_on.set()
    answer = page.get_by_role("article")
    await expect(answer.locator(".answer-text")).to_contain_text(pen.first)
    await expect(answer.locator(".answer-text")).to_contain_text("40 mg")
    await expect(answer).not_to_contain_text("founder")
    await expect(draft).to_have_count(0)


async def test_what_peers_write_is_text_and_never_markup(federation: InProcessFederation, visitor: Visitor) -> None:
    hostile = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    await federation.join("liar", says(hostile))
    await visitor.sign_in(federation.url, federation.api_key)
    await visitor.ask("<b>bold?</b>")
    await expect(visitor.page.locator(".answer-text")).to_have_text(hostile)
    assert await visitor.page.locator("main").locator("img, script, b").count() == 0
    assert await visitor.page.title() == "Ask · frag"


async def test_all_withheld_and_a_node_that_dies_are_said_plainly(
    federation: InProcessFederation, visitor: Visitor
) -> None:
    async def never(_ask: Ask) -> NodeAnswer:
        await asyncio.sleep(60)
        raise AssertionError("nobody waits for this")

    page = visitor.page
    await federation.join("careful", withholds("pii"))
    dying = await federation.join("dying", never)
    await visitor.sign_in(federation.url, federation.api_key)
    await visitor.ask("Who is it?")
    await federation.until(lambda: bool(dying.asked))
    await federation.leave("dying")
    await expect(page.get_by_role("article")).to_contain_text("every node that replied held its own back")
    await expect(page.get_by_role("article")).to_contain_text("The connection ended while it was asked.")
    await visitor.go_to("Nodes")
    await expect(page.get_by_role("article").filter(has_text="dying")).to_contain_text("Not connected")
    await expect(page.get_by_role("article").filter(has_text="dying")).to_contain_text("frag node run")
    await visitor.inspect("dead-node")
    await federation.leave("careful")
    await visitor.go_to("Ask")
    await expect(page.get_by_text("Nobody is there to answer")).to_be_visible()
    await visitor.ask("Anybody?")
    await expect(page.get_by_role("alert")).to_contain_text("None of the nodes in question is connected.")
    visitor.expected.add(503)


async def test_the_privacy_that_nodes_state_is_added_up(federation: InProcessFederation, visitor: Visitor) -> None:
    await federation.join("private", says("yes", epsilon=2.5, delta=1e-6))
    await visitor.sign_in(federation.url, federation.api_key)
    await visitor.page.get_by_label("Answer mode").select_option(AnswerMode.DP.value)
    await visitor.ask("Is it?")
    await expect(visitor.page.get_by_role("article")).to_contain_text("ε = 2.5, δ = 1e-06")
    await visitor.go_to("Privacy")
    row = visitor.page.get_by_role("row").filter(has_text="private")
    await expect(row).to_contain_text("2.5")
    await visitor.inspect("privacy")


async def test_a_question_by_keyboard_alone(federation: InProcessFederation, visitor: Visitor) -> None:
    await federation.join("a", says("by hand"))
    await visitor.sign_in(federation.url, federation.api_key)
    await expect(visitor.page.get_by_role("heading", name="Ask")).to_be_focused()
    await visitor.page.keyboard.press("Tab")
    await visitor.page.keyboard.type("What?")
    await visitor.page.keyboard.press("Control+Enter")
    await expect(visitor.page.locator(".answer-text")).to_have_text("by hand")
    await expect(visitor.page.get_by_role("status").first).to_have_text("The answer is here")


async def test_an_answer_is_corrected_where_it_is_read(federation: InProcessFederation, visitor: Visitor) -> None:
    page, place = visitor.page, await federation.enroll("plant")
    async with silo(place, {"boiler.txt": BOILER}, federation=federation) as node:
        await visitor.sign_in(federation.url, federation.api_key)
        await page.get_by_label("Answer mode").select_option(AnswerMode.NONE.value)
        await visitor.ask(ABOUT_BOILER)
        answer = page.get_by_role("article")
        await expect(answer).to_contain_text("Was this right?")
        await expect(answer.get_by_label("What would have been right?")).to_be_hidden()
        await answer.get_by_role("button", name="No").click()
        await answer.get_by_label("What would have been right?").fill("On Tuesdays.")
        await visitor.inspect("correcting")
        await answer.get_by_role("button", name="Send").click()
        await expect(answer).to_contain_text("Taken by plant.")
        assert [held.correction for held in await node.feedback.listed(10)] == ["On Tuesdays."]
