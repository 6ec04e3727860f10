"""Questions over scripted nodes: honest, slow, dead, lying, withholding."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import aiohttp
import msgspec
import pytest

from frag.types import Aggregate, AnswerMode, Citation, NodeAnswer, Scale
from server.coordinator.query import QueryRequest
from server.wire.messages import Ask
from tests.conftest import LoopGuard
from tests.server.in_process import in_process, says, withholds


async def never(_ask: Ask) -> NodeAnswer:
    await asyncio.sleep(60)
    raise AssertionError("nobody waits for this")


async def fails(_ask: Ask) -> NodeAnswer:
    raise KeyError("a bug in the node")


async def lies_about_its_mode(_ask: Ask) -> NodeAnswer:
    return NodeAnswer(node_id="x", mode=AnswerMode.NONE, text="unscrubbed")


async def test_the_best_of_three_answers_comes_back_with_who_gave_it(tmp_path: Path, unblocked_loop: LoopGuard) -> None:
    async with in_process(tmp_path) as federation:
        await federation.join("a", says("five days", 0.3))
        await federation.join(
            "b",
            says(
                "nine days",
                0.9,
                redactions={"PERSON": 2},
                citations=(Citation(document_alias="00ff", score=0.8),),
            ),
        )
        await federation.join("c", withholds("no_evidence"))
        with unblocked_loop():
            status, body = await federation.ask(question="How long?", aggregation="best")
    assert status == 200
    assert body["answer"] == "nine days"
    assert [(n["node"], n["contributed"]) for n in body["answered"]] == [("a", False), ("b", True)]
    assert body["answered"][1]["redactions"] == {"PERSON": 2}
    assert body["answered"][1]["citations"] == [{"document": "00ff", "score": 0.8}]
    assert body["withheld"] == [{"node": "c", "reason": "no_evidence"}]
    assert body["failed"] == []
    assert len(body["query_id"]) == 32
    assert body["timings"]["total_ms"] >= body["timings"]["fanout_ms"] > 0


async def test_a_writer_that_is_late_does_not_keep_the_asker_waiting(tmp_path: Path) -> None:
    loading: list[bool] = []

    class Slow:
        method = "synthesize"

        async def aggregate(self, question: str, answers: Sequence[NodeAnswer]) -> Aggregate:
            await asyncio.sleep(60)
            raise AssertionError("nobody waits for this")

    async with in_process(tmp_path) as federation:
        await federation.join("a", says("five days", 0.3))
        await federation.join("b", says("nine days", 0.9))
        service = federation.state.query
        slow = {**service.aggregators, "synthesize": Slow()}
        late = replace(service, aggregators=slow, expect_writer=lambda: loading.append(True))
        started = time.monotonic()
        response = await late.answer(QueryRequest(question="How long?", aggregation="synthesize", deadline_s=2.5))
    assert time.monotonic() - started < 6
    assert (response.answer, response.aggregation) == ("nine days", "best")
    assert "by the deadline" in response.note
    assert loading == [True], "it is loaded while nodes answer"


async def test_nodes_with_different_embedders_are_compared_by_calibrated_scores_and_the_asker_is_told(
    tmp_path: Path,
) -> None:
    cited = (Citation(document_alias="00ff", score=0.9),)
    wide = says("nine days", 0.9, embedder="wide", scale=Scale(slope=2.0, offset=-1.5), citations=cited)
    async with in_process(tmp_path) as federation:
        await federation.join("a", says("five days", 0.8, embedder="plain", scale=Scale(slope=1.0, offset=0.0)))
        _, alone = await federation.ask(question="How long?", aggregation="best")
        await federation.join("b", wide)
        _, body = await federation.ask(question="How long?", aggregation="best")
    assert alone["scores"] == "cosine"
    assert body["scores"] == "calibrated: nodes use different embedders"
    assert body["answer"] == "five days"
    assert [view["embedder"] for view in body["answered"]] == ["plain", "wide"]
    assert body["answered"][0]["score"] == pytest.approx(0.8)
    assert body["answered"][1]["score"] < 0.8
    assert body["answered"][1]["citations"][0]["score"] == pytest.approx(0.3)  # 2 · 0.9 - 1.5


async def test_a_straggler_is_named_cancelled_and_not_waited_for(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        await federation.join("quick", says("yes"))
        slow = await federation.join("slow", never)
        started = time.monotonic()
        status, body = await federation.ask(question="q", deadline_s=0.3)
        took_s = time.monotonic() - started
        await federation.until(lambda: slow.cancelled == 1)
        link = federation.state.registry.link("slow")
    assert status == 200
    assert body["answer"] == "yes"
    assert body["failed"] == [{"node": "slow", "code": "deadline_exceeded"}]
    assert 0.3 <= took_s < 2
    assert link is not None, "a late answer does not cost the connection"


@pytest.mark.parametrize(
    ("script", "code"), [(fails, "internal"), (lies_about_its_mode, "bad_reply")], ids=["bug", "wrong mode"]
)
async def test_a_faulty_node_costs_its_own_answer_only(tmp_path: Path, script: object, code: str) -> None:
    async with in_process(tmp_path) as federation:
        await federation.join("good", says("yes"))
        await federation.join("bad", script)  # type: ignore[arg-type]
        for _ in range(2):
            status, body = await federation.ask(question="q", deadline_s=5)
            assert status == 200
            assert body["answer"] == "yes"
            assert body["failed"] == [{"node": "bad", "code": code}]


async def test_a_node_that_leaves_in_mid_question_is_named_at_once(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        await federation.join("stays", says("yes"))
        leaver = await federation.join("leaves", never)
        asking = asyncio.create_task(federation.ask(question="q", deadline_s=30))
        await federation.until(lambda: bool(leaver.asked))
        await federation.leave("leaves")
        status, body = await asyncio.wait_for(asking, 5)
    assert status == 200
    assert body["failed"] == [{"node": "leaves", "code": "disconnected"}]


async def test_an_enrolled_node_that_is_away_is_named(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        await federation.enroll("away")
        await federation.join("here", says("yes"))
        _, body = await federation.ask(question="q")
    assert body["failed"] == [{"node": "away", "code": "not_connected"}]


async def test_when_all_withhold_the_answer_is_null(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        await federation.join("a", withholds("no_evidence"))
        status, body = await federation.ask(question="q")
    assert (status, body["answer"]) == (200, None)
    assert body["withheld"] == [{"node": "a", "reason": "no_evidence"}]


async def test_a_missed_quorum_is_an_error_that_names_the_missing(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        await federation.join("a", says("yes"))
        await federation.join("slow", never)
        status, body = await federation.ask(question="q", min_nodes=2, deadline_s=0.2)
    assert (status, body["code"]) == (503, "quorum_not_met")
    assert body["failed"] == [{"node": "slow", "code": "deadline_exceeded"}]


async def test_only_the_nodes_that_are_named_are_asked(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        await federation.join("a", says("from a"))
        other = await federation.join("b", says("from b"))
        _, body = await federation.ask(question="q", nodes=["a"], top_k=7, retrieval="hybrid")
    assert [n["node"] for n in body["answered"]] == ["a"]
    assert other.asked == []


async def test_events_tell_what_happens_while_nodes_answer(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        await federation.join("a", says("yes"))
        await federation.join("b", withholds("no_answer"))
        headers = {"Authorization": f"Bearer {federation.api_key}", "Accept": "text/event-stream"}
        async with federation.session.post(
            f"{federation.url}/v1/query", json={"question": "q"}, headers=headers
        ) as answer:
            blocks = (await answer.text()).strip().split("\n\n")
    events = [tuple(line.split(": ", 1)[1] for line in block.split("\n")) for block in blocks]
    assert [name for name, _ in events] == ["accepted", "routed", "node", "node", "aggregated", "done"]
    assert msgspec.json.decode(events[-1][1])["answer"] == "yes"
    assert {(e["node"], e["outcome"]) for e in (msgspec.json.decode(d) for _, d in events[2:4])} == {
        ("a", "answered"),
        ("b", "withheld"),
    }


async def test_an_asker_that_hangs_up_stops_the_nodes(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        slow = await federation.join("slow", never)
        headers = {"Authorization": f"Bearer {federation.api_key}", "Accept": "text/event-stream"}
        async with (
            aiohttp.ClientSession() as impatient,
            impatient.post(
                f"{federation.url}/v1/query", json={"question": "q", "deadline_s": 2}, headers=headers
            ) as answer,
        ):
            await answer.content.readline()
            await federation.until(lambda: bool(slow.asked))
        await federation.until(lambda: slow.cancelled == 1)


async def test_many_questions_at_once_each_get_their_own_answer(tmp_path: Path) -> None:
    async def echo(ask: Ask) -> NodeAnswer:
        await asyncio.sleep(0.001 * (hash(ask.question) % 7))
        return NodeAnswer(node_id="", mode=ask.answer_mode, text=f"re {ask.question}", score=0.5)

    async with in_process(tmp_path) as federation:
        await federation.join("a", echo)
        await federation.join("b", echo)
        replies = await asyncio.gather(*(federation.ask(question=f"q{i}") for i in range(60)))
    assert [body["answer"] for _, body in replies] == [f"re q{i}" for i in range(60)]
