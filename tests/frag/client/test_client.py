"""The Python client over an in-process federation, and against strangers."""

import asyncio
import gc
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from frag.client import (
    Accepted,
    Aggregated,
    Answer,
    Client,
    CoordinatorError,
    Done,
    Job,
    NodeReplied,
    Routed,
    SyncClient,
)
from frag.client.views import NodeAnswer, Round
from frag.errors import ClosedError, ProtocolError, SettingsError, UnreachableError
from frag.types import Citation
from server.local_federation import free_port
from tests.server.in_process import in_process, says, withholds

CITED = says("Nine days.", 0.9, citations=(Citation(document_alias="00ff", score=0.8),))
JOB = {"name": "qa", "dataset": "qa", "rounds": {"number": 2, "min_replies": 2}}


async def test_a_question_is_answered_whole_and_event_by_event(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation, Client(federation.url, federation.api_key) as client:
        await federation.join("a", CITED)
        await federation.join("b", withholds("no_evidence"))
        answer = await client.ask("How long?", top_k=3)
        events = [event async for event in client.stream("How long?", nodes=["a"])]
        nodes = await client.nodes()
    assert (str(answer), answer.mode, [item.reason for item in answer.withheld]) == (
        "Nine days.",
        "scrub",
        ["no_evidence"],
    )
    assert answer.answered[0].citations[0].document == "00ff"
    assert [type(event) for event in events] == [Accepted, Routed, NodeReplied, Aggregated, Done]
    assert [(node.node, node.connected) for node in nodes] == [("a", True), ("b", True)]


async def test_a_job_is_queued_followed_and_cancelled(tmp_path: Path) -> None:
    file = tmp_path / "job.toml"
    file.write_text('name = "qa"\ndataset = "qa"\n')
    async with in_process(tmp_path) as federation, Client(federation.url, federation.api_key) as client:
        job = await client.train(JOB)
        following = asyncio.create_task(client.wait(job.job_id, every_s=0.05))
        shown = await client.job(job.job_id)
        await client.cancel(job.job_id)
        ended = await asyncio.wait_for(following, 5)
        other = await client.train(file)
        listed, prompts = await client.jobs(), await client.prompts()
        with pytest.raises(CoordinatorError, match="dataset"):
            await client.train({"name": "qa"})
        with pytest.raises(SettingsError):
            await client.train(tmp_path / "absent.toml")
    assert (shown.num_rounds, shown.waiting) == (2, "0 of 2 nodes needed that hold qa are connected")
    assert (ended.state, ended.has_ended) == ("cancelled", True)
    assert {item.job_id for item in listed} == {job.job_id, other.job_id}
    assert prompts == []


async def test_refusals_keep_code_and_mend(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        async with Client(federation.url, "frag_wrong") as stranger:
            with pytest.raises(CoordinatorError) as refused:
                await stranger.ask("q")
        async with Client(federation.url, federation.api_key) as client:
            with pytest.raises(CoordinatorError) as nobody:
                await client.ask("q")
    assert (refused.value.code, refused.value.http_status, refused.value.exit_code) == ("not_authenticated", 401, 5)
    assert (nobody.value.code, nobody.value.exit_code) == ("no_nodes", 6)
    assert nobody.value.mend


async def test_the_key_never_shows_and_plain_http_stays_here(tmp_path: Path) -> None:
    client = Client("http://127.0.0.1:1", "frag_secret")
    assert "frag_secret" not in repr(client) + repr(client._connection)
    with pytest.raises(SettingsError):
        Client("http://frag.example:8470")
    async with Client(f"http://127.0.0.1:{free_port()}") as alone:
        with pytest.raises(UnreachableError):
            await alone.nodes()


@pytest.mark.parametrize("body", [b"<html>", b'{"nodes": 3}', b"[]", b'{"nodes": [{"node": 1}]}'])
async def test_what_is_no_coordinator_is_told_as_such(body: bytes) -> None:
    async def strange(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="text/event-stream")

    async def elsewhere(_request: web.Request) -> web.Response:
        raise web.HTTPFound("/v1/nodes")

    app = web.Application()
    app.add_routes([web.get("/v1/nodes", strange), web.post("/v1/query", elsewhere)])
    async with TestServer(app) as server, Client(str(server.make_url("")), "frag_key") as client:
        with pytest.raises(ProtocolError):
            await client.nodes()
        with pytest.raises(ProtocolError):
            await client.ask("q")


async def test_the_twin_without_async_does_the_same(tmp_path: Path) -> None:
    def use(url: str, key: str) -> tuple[Answer, list[type], list[str]]:
        with SyncClient(url, key) as client:
            answer = client.ask("How long?")
            first = next(iter(client.stream("How long?")))
            kinds = [type(first), *(type(event) for event in client.stream("How long?"))]
            job = client.train(JOB)
            client.cancel(job.job_id)
            states = [item.state for item in client.follow(job.job_id, every_s=0.01)]
            client.close()
        return answer, kinds, states

    async with in_process(tmp_path) as federation:
        await federation.join("a", CITED)
        answer, kinds, states = await asyncio.to_thread(use, federation.url, federation.api_key)
    assert str(answer) == "Nine days."
    assert kinds == [Accepted, Accepted, Routed, NodeReplied, Aggregated, Done]
    assert states[-1] == "cancelled"


def test_notebooks_show_text_escaped_and_logs_none() -> None:
    evil = "<img src=x onerror=alert(1)>'\""
    view = NodeAnswer(node=evil, answer=evil, contributed=True, answer_mode="scrub", score=0.5)
    answer = Answer(
        query_id="0", text=evil, mode=evil, aggregation="best", answered=[view], withheld=[], failed=[],
        promise=evil, note=evil,
    )  # fmt: skip
    rounds = [Round(round=n, nodes=[evil], metrics={"loss": 1.0 / n}) for n in (1, 2)]
    job = Job(job_id=evil, state=evil, num_rounds=2, error=evil, rounds=rounds, versions=[evil], privacy=evil)
    for shown in (answer._repr_html_(), job._repr_html_()):
        assert "<img" not in shown
        assert "&lt;img src=x onerror=alert(1)&gt;&#x27;&quot;" in shown
    assert "polyline points='0.0,0.0 240.0,48.0'" in job._repr_html_()
    assert "img" not in repr(answer)
    assert "No node has evidence" in Answer(
        query_id="", text=None, mode="scrub", aggregation="best", answered=[], withheld=[], failed=[]
    )._repr_html_()  # fmt: skip


async def test_an_address_with_v1_behind_it_is_taken_too(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        await federation.join("a", CITED)
        async with Client(f"{federation.url}/v1/", federation.api_key) as client:
            assert str(await client.ask("How long?")) == "Nine days."
        async with Client(f"{federation.url}/elsewhere", federation.api_key) as lost:
            with pytest.raises(CoordinatorError, match="There is no /elsewhere/v1/nodes here"):
                await lost.nodes()


async def test_a_closed_client_says_so_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        await federation.join("a", CITED)

        def use() -> None:
            with SyncClient(federation.url, federation.api_key) as client:
                left = client.stream("How long?")
                assert isinstance(next(left), Accepted)
            with pytest.raises(ClosedError, match=r"closed.*inside its `with`"):
                client.ask("How long?")
            with pytest.raises(ClosedError):
                next(client.stream("How long?"))
            client.close()
            del left

        await asyncio.to_thread(use)
        gc.collect()
