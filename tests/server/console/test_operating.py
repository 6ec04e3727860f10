"""The operator's views: enrolling by one line, a job with its curve, versions, the audit log."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from playwright.async_api import expect
from safetensors.numpy import save

from server.coordinator.training import runner as runner_module
from server.coordinator.training.start import JobStart, StartInfo
from server.wire.messages import Progress, Train, Trained
from tests.server.console.visitor import Visitor
from tests.server.coordinator.scripted_training import START, ScriptedTrainer, honest, join
from tests.server.in_process import InProcessFederation, ScriptedAnswers, says

pytestmark = pytest.mark.asyncio(loop_scope="session")


class LearningTrainer(ScriptedTrainer):
    """Its loss falls from round to round: 1.5, 0.75, 0.5."""

    async def train(self, request: Train, on_progress: Callable[[Progress], None]) -> Trained:
        trained = await super().train(request, on_progress)
        return msgspec.structs.replace(trained, metrics={"loss": 1.5 / len(self.seen)})


async def test_a_node_is_enrolled_by_copying_one_line(
    federation: InProcessFederation, visitor: Visitor, tmp_path: Path
) -> None:
    from server.node.enroll import enroll
    from server.node.state import NodeFolder
    from server.wire.token import parse_token

    page = visitor.page
    await federation.join("clinic-a", says("yes"))
    await visitor.sign_in(federation.url, federation.api_key)
    await visitor.go_to("Nodes")
    await page.get_by_label("Name of the node").fill("clinic-b")
    await page.get_by_role("button", name="Make the line").click()
    await page.get_by_role("button", name="Copy").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    line = await page.evaluate("navigator.clipboard.readText()")
    assert line.startswith("frag node enroll frag1_")
    await expect(page.get_by_text("Waiting for clinic-b")).to_be_visible()
    await visitor.inspect("nodes")
    folder = NodeFolder(tmp_path / "pasted")
    await enroll(folder, parse_token(line.rsplit(" ", 1)[1]), None)
    federation.connect(folder, ScriptedAnswers(says("me too")))
    await expect(page.get_by_text("clinic-b is connected")).to_be_visible()
    await expect(page.get_by_role("article").filter(has_text="clinic-b")).to_contain_text("Connected")


async def test_a_name_that_cannot_be_is_refused_in_words(federation: InProcessFederation, visitor: Visitor) -> None:
    page = visitor.page
    visitor.expected.add(422)
    await visitor.sign_in(federation.url, federation.api_key)
    await visitor.go_to("Nodes")
    await page.get_by_label("Name of the node").fill("public")
    await page.get_by_role("button", name="Make the line").click()
    await expect(page.get_by_role("alert")).to_contain_text("is the coordinator's own corpus")


async def test_a_job_is_started_and_its_curve_grows(
    federation: InProcessFederation, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def make_start(*_: object) -> JobStart:
        info = StartInfo(base_model="0" * 64, layout="1" * 64, embedder="")
        return JobStart(info=info, weights=save(START))

    monkeypatch.setattr(runner_module, "make_start", make_start)
    page, gate = visitor.page, asyncio.Semaphore(0)
    for name in ("clinic-a", "clinic-b"):
        await join(federation, name, LearningTrainer(federation.url, honest(1.0), before=gate.acquire))
    await visitor.sign_in(federation.url, federation.api_key)
    await visitor.go_to("Training")
    await page.get_by_role("link", name="Start a job").click()
    await page.get_by_label("What is trained").select_option("prompt")
    await page.get_by_label("Number of rounds").fill("3")
    await page.get_by_label("Measure every … rounds").fill("0")
    await visitor.inspect("job-form")
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(page.get_by_text("Round 1 began with clinic-a, clinic-b")).to_be_visible()
    for num_done in (1, 2, 3):
        gate.release()
        gate.release()
        await expect(page.locator(".chart circle")).to_have_count(num_done)
    await expect(page.locator(".job-state")).to_contain_text("Done")
    await expect(page.get_by_role("img", name="Training loss from 1.5 to 0.5")).to_be_visible()
    await visitor.inspect("job-done")
    await _promote_and_go_back(visitor)


async def test_a_job_with_many_figures_and_nodes_is_shown_whole(
    federation: InProcessFederation, visitor: Visitor
) -> None:
    nodes = [f"university-hospital-{name}" for name in ("north", "south", "east", "west", "mid", "far", "new", "old")]
    measured = {"held_out_loss": 0.000123, "held_out_f1": 0.4567, "held_out_em": 0.3125}
    rounds = [
        {
            "round": number,
            "metrics": {"loss": 12345.678 / number, **measured},
            "nodes": nodes,
            "remarks": {},
            "bytes_out": 123_456_789,
            "bytes_in": 98_765_432,
            "seconds": 1234.5,
        }
        for number in range(1001, 1031)
    ]
    settings = {"method": {"kind": "lora"}, "dataset": "discharge-letters", "aggregation": {"mode": "secagg"}}
    job = {
        "job_id": "discharge-letters-of-all-hospitals-1f0c22aa",
        "job": settings,
        "state": "done",
        "error": "",
        "waiting": "",
        "num_rounds": 1030,
        "rounds": rounds,
        "created_at": "2026-11-24T03:08:00",
        "versions": ["discharge-letters-of-all-hospitals-1f0c22aa"],
        "privacy": "",
    }
    await visitor.sign_in(federation.url, federation.api_key)
    await visitor.go_to("Training")
    await visitor.page.route("**/v1/jobs/long", lambda route: route.fulfill(json=job))
    await visitor.page.goto(f"{federation.url}/#/training/long")
    await expect(visitor.page.get_by_role("row")).to_have_count(11)
    await expect(visitor.page.get_by_role("cell", name="university-hospital-mid").first).to_contain_text("and 2 more")
    await visitor.inspect("job-long")
    await visitor.page.get_by_role("button", name="Show all 30").press("Enter")
    await expect(visitor.page.get_by_role("row")).to_have_count(31)


async def _promote_and_go_back(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.go_to("Training")
    await page.get_by_role("button", name="Promote qa-").click()
    await expect(page.locator(".notice").filter(has_text="is live on 2 of 2 nodes.")).to_be_visible()
    await visitor.inspect("versions")
    await page.get_by_role("button", name="Go back one step").click()
    await expect(page.locator(".notice").filter(has_text="The model as it is is live on 2 of 2 nodes.")).to_be_visible()


async def test_the_audit_log_shows_acts_and_that_its_chain_holds(
    federation: InProcessFederation, visitor: Visitor
) -> None:
    await federation.join("clinic-a", says("yes"))
    await visitor.sign_in(federation.url, federation.api_key)
    await visitor.go_to("Audit")
    await expect(visitor.page.get_by_text("The chain holds")).to_be_visible()
    await expect(visitor.page.get_by_role("row").filter(has_text="Node enrolled")).to_contain_text("clinic-a")
    await visitor.inspect("audit")
    _, log = await federation.get("/v1/admin/audit?limit=50")
    for width in (390, 1440):
        await visitor.page.set_viewport_size({"width": width, "height": 900})
        for entry in log["entries"]:
            await expect(visitor.page.get_by_role("cell", name=entry["hash"])).to_be_visible()
    await visitor.page.get_by_role("button", name="Copy").click()
    assert await visitor.page.evaluate("navigator.clipboard.readText()") == log["entries"][0]["hash"]
