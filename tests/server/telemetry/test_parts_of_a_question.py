"""One trace and one set of metrics say where the time of a question went, over a real connection."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from frag.policy_settings import CollectionSettings, PolicySettings
from frag.privacy.patterns import PatternRedactor
from frag.settings import ModelSettings
from frag.types import Adaptation, AnswerMode, Generation, GenerationRequest, NodeAnswer
from retrievers.store import DocumentStore
from server.local_federation import free_port
from server.node.answering import NodeAnswering
from server.node.inference import InferenceWorker
from server.node.masking import Masking
from server.node.parts import Desks
from server.node.policy import NodePolicy
from server.node.process import NodeProcess
from server.telemetry.coordinator import CoordinatorWatch
from server.telemetry.node import NodeWatch
from server.telemetry.node_endpoint import open_endpoint
from server.telemetry.tracing import open_tracing
from tests.doubles import HashingEmbedder
from tests.server.in_process import InProcessFederation, ScriptedAnswers, in_process, says, withholds
from tests.server.telemetry.collector import Collector, collecting, samples, seconds, total

SEARCH_S, PREFILL_S, DECODE_S = 0.10, 0.15, 0.25
CANARY = "zanzibar4711"
QUESTION = f"Where is the {CANARY} kept?"
PASSAGE = "The kelpstone99 zanzibar4711 is kept in the northern store."


class SlowModel:
    name = "slow"

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        is_cancelled: Callable[[int], bool] = lambda _row: False,
        adaptation: Adaptation | None = None,
        listeners: object = None,
    ) -> list[Generation]:
        time.sleep(PREFILL_S + DECODE_S)
        return [
            Generation(
                text="In the wharfside5 north.",
                token_logprob=-0.1,
                num_prompt_tokens=9,
                num_new_tokens=5,
                prefill_s=PREFILL_S,
            )
            for _ in requests
        ]

    def check(self, adaptation: Adaptation) -> None: ...


@contextmanager
def stored(folder: Path) -> Iterator[DocumentStore]:
    folder.mkdir()
    texts = folder / "texts"
    texts.mkdir()
    (texts / "a.txt").write_text(PASSAGE)
    embedder = HashingEmbedder()
    with DocumentStore.open(folder / "index", embedder) as store:
        store.ingest([texts])
        embedder.seconds_per_text = SEARCH_S
        yield store


@asynccontextmanager
async def slow_silo(folder: Path) -> AsyncIterator[NodeAnswering]:
    policy = PolicySettings(min_evidence=-1)
    embedder = HashingEmbedder(seconds_per_text=SEARCH_S)
    with stored(folder) as store, ThreadPoolExecutor(1) as workers:
        async with InferenceWorker(SlowModel, max_batch=4, gather_s=0.001) as worker:
            yield NodeAnswering(
                node_id="north",
                policy=NodePolicy(policy, [CollectionSettings(name="c", folder=folder)]),
                rules=policy,
                models=ModelSettings(),
                stores={"c": store},
                embedder=embedder,
                worker=worker,
                masking=Masking(passages=PatternRedactor(), answers=PatternRedactor(), patterns=PatternRedactor()),
                workers=workers,
                alias_key=bytes(32),
            )


@contextmanager
def node_watch(collector: Collector, node_id: str) -> Iterator[NodeWatch]:
    with open_tracing(collector.url, "frag-node", node_id) as tracing:
        yield NodeWatch(tracing)


async def connect(federation: InProcessFederation, node_id: str, answers: Any, watch: NodeWatch) -> None:
    peer = await federation.enroll(node_id)
    process = NodeProcess(peer.peer(peer.settings()), Desks(answers=answers), watch=watch)
    federation.tasks[node_id] = asyncio.create_task(process.run())
    await federation.until(lambda: federation.state.registry.link(node_id) is not None)


def of_stages(metrics: dict[tuple[str, tuple[str, ...]], float], name: str) -> dict[str, float]:
    return {labels[0]: value for (sample, labels), value in metrics.items() if sample == f"{name}_sum"}


async def scraped(federation: InProcessFederation) -> dict[tuple[str, tuple[str, ...]], float]:
    headers = {"Authorization": f"Bearer {federation.api_key}"}
    async with federation.session.get(federation.url + "/metrics", headers=headers) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return samples(await answer.read())


async def test_the_parts_add_up_to_the_whole(tmp_path: Path) -> None:
    async with collecting() as collector:
        telemetry = {"telemetry": {"otlp_endpoint": collector.url}}
        with node_watch(collector, "north") as watch:
            async with slow_silo(tmp_path / "silo") as answering:
                async with in_process(tmp_path, telemetry) as federation:
                    await connect(federation, "north", answering, watch)
                    status, body = await federation.ask(question=QUESTION)
                    assert status == 200, body
                    assert body["answer"] == "In the wharfside5 north."
                    central = await scraped(federation)
                await collector.until(13)
        local = samples(watch.exposition())

    # one trace, from the question through the node to the answer
    assert len({span.trace_id for _service, span in collector.spans}) == 1
    (root,) = collector.named("frag.question")
    assert root.parent_span_id == b""
    (asked,), (answered,) = collector.named("frag.ask"), collector.named("frag.node.answer")
    assert answered.parent_span_id == asked.span_id
    parts = [span for _service, span in collector.spans if span.parent_span_id == root.span_id]
    assert {span.name for span in parts} == {"frag.scrub", "frag.route", "frag.fanout", "frag.aggregate"}
    assert sum(map(seconds, parts)) == pytest.approx(seconds(root), rel=0.05)
    inner = {span.name: seconds(span) for _s, span in collector.spans if span.parent_span_id == answered.span_id}
    assert set(inner) == {f"frag.node.{s}" for s in ("search", "mask", "queue", "prefill", "decode", "redaction")}
    assert sum(inner.values()) == pytest.approx(seconds(answered), rel=0.05)

    # the metrics of both sides say the same
    whole = total(central, "frag_question_seconds_sum")
    stages = of_stages(central, "frag_question_stage_seconds")
    assert sum(stages.values()) == pytest.approx(whole, rel=0.05)
    assert whole == pytest.approx(seconds(root), rel=1e-6)
    at_node = of_stages(local, "frag_node_stage_seconds")
    assert sum(at_node.values()) == pytest.approx(total(local, "frag_node_question_seconds_sum"), rel=0.05)
    assert sum(at_node.values()) == pytest.approx(stages["fanout"], rel=0.05)
    assert at_node["search"] == pytest.approx(SEARCH_S, rel=0.3)
    assert at_node["prefill"] == pytest.approx(PREFILL_S)
    assert at_node["decode"] == pytest.approx(DECODE_S, rel=0.3)

    # counts, and no text anywhere
    assert central["frag_questions_total", ("scrub", "answered")] == 1
    assert central["frag_node_replies_total", ("answered",)] == 1
    assert central["frag_nodes_connected", ()] == 1
    assert central["frag_wire_bytes_total", ("sent",)] > len(QUESTION)
    assert local["frag_node_questions_total", ("scrub", "answered")] == 1
    everything = collector.raw() + str(central) + str(local)
    assert not [word for word in (CANARY, "kelpstone99", "wharfside5") if word in everything]


async def test_under_dp_a_node_tells_of_no_stage_and_makes_no_span(tmp_path: Path) -> None:
    async with collecting() as collector:
        with node_watch(collector, "north") as watch:
            async with in_process(tmp_path, {"telemetry": {"otlp_endpoint": collector.url}}) as federation:
                await connect(federation, "north", ScriptedAnswers(says("No answer.")), watch)
                await federation.ask(question=QUESTION, answer_mode="dp")
                await federation.ask(question=QUESTION, answer_mode="scrub")
                await collector.until(13)
        local = samples(watch.exposition())
    assert len(collector.named("frag.question")) == 2
    assert len(collector.named("frag.node.answer")) == 1
    assert local["frag_node_questions_total", ("dp", "answered")] == 1


async def test_reasons_and_refusals_are_counted_under_known_names_only(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        await federation.join("a", withholds("no_evidence"))
        await federation.join("b", withholds("a_reason_of_my_own"))
        await federation.ask(question=QUESTION)
        await federation.ask(question=QUESTION, min_nodes=3, deadline_s=5)
        metrics = await scraped(federation)
    assert metrics["frag_withheld_total", ("no_evidence",)] == 1
    assert metrics["frag_withheld_total", ("other",)] == 1
    assert metrics["frag_questions_total", ("scrub", "no_answer")] == 1
    assert metrics["frag_questions_total", ("scrub", "quorum_not_met")] == 1


async def test_the_asker_can_bring_a_trace_of_their_own(tmp_path: Path) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    async with in_process(tmp_path) as federation:
        node = await federation.join("a", says("yes"))
        headers = {"Authorization": f"Bearer {federation.api_key}", "traceparent": f"00-{trace}-b7ad6b7169203331-00"}
        headers["X-Request-Id"] = "mine-1"
        async with federation.session.post(
            federation.url + "/v1/query", json={"question": "Why?"}, headers=headers
        ) as got:
            assert got.headers["X-Request-Id"] == "mine-1"
        headers |= {"traceparent": "00-nonsense", "X-Request-Id": "not an id"}
        async with federation.session.post(
            federation.url + "/v1/query", json={"question": "Why?"}, headers=headers
        ) as got:
            assert got.headers["X-Request-Id"] != "not an id"
    first, second = (ask.traceparent for ask in node.asked)
    assert first.startswith(f"00-{trace}-")
    assert first.endswith("-00")
    assert second[3:35] not in (trace, "")


@pytest.mark.parametrize(
    ("setting", "key", "status"), [("key", False, 401), ("key", True, 200), ("open", False, 200), ("off", True, 404)]
)
async def test_who_may_read_the_coordinators_metrics(tmp_path: Path, setting: str, key: bool, status: int) -> None:
    async with in_process(tmp_path, {"telemetry": {"metrics": setting}}) as federation:
        headers = {"Authorization": f"Bearer {federation.api_key}"} if key else {}
        async with federation.session.get(federation.url + "/metrics", headers=headers) as answer:
            assert answer.status == status


async def test_a_nodes_metrics_are_served_to_its_own_machine(tmp_path: Path) -> None:
    watch, port = NodeWatch(), free_port()

    def refresh() -> None:
        watch.set_documents(7)
        watch.set_spending(8.0, {"patients": 1.25})

    async with open_endpoint(watch, port, refresh), aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            metrics = samples(await answer.read())
        async with session.get(f"http://127.0.0.1:{port}/metrics", headers={"Host": "evil.example"}) as answer:
            assert answer.status == 403
    assert metrics["frag_node_documents", ()] == 7
    assert metrics["frag_node_epsilon_spent", ("patients",)] == 1.25


def test_a_withheld_answer_has_its_reason_at_the_node() -> None:
    watch = NodeWatch()
    with watch.question("scrub") as note:
        watch.answered(note, NodeAnswer(node_id="a", mode=AnswerMode.SCRUB, withheld="pii"))
    assert samples(watch.exposition())["frag_node_withheld_total", ("pii",)] == 1


def test_rounds_and_jobs_are_counted_from_their_events() -> None:
    watch = CoordinatorWatch()
    watch.on_job_event("round_done", {"seconds": 12.5, "bytes_out": 300, "bytes_in": 100})
    watch.on_job_event("round_repeated", {"round": 1, "reason": "of a node's own making"})
    watch.on_job_event("node_left_out", {"node": "a"})
    watch.on_job_event("done", {"version": "qa-1"})
    metrics = samples(watch.exposition())
    assert metrics["frag_rounds_total", ("committed",)] == 1
    assert metrics["frag_rounds_total", ("repeated",)] == 1
    assert metrics["frag_round_seconds_sum", ()] == 12.5
    assert metrics["frag_update_bytes_total", ("sent",)] == 300
    assert metrics["frag_jobs_total", ("done",)] == 1
    assert "own making" not in watch.exposition().decode()
