"""Feedback from an asker to the node that answered: over a real coordinator, into a real node's state."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.client import Client
from frag.errors import CoordinatorError, SealingError
from server.coordinator.auth import hash_api_key, new_api_key
from server.sealed.asker import Coordinator, SealedPlan, ask_sealed
from server.sealed.trust import Trust
from server.wire.identity import public_bytes
from tests.e2e.capture import Capture, capturing_relay
from tests.server.in_process import InProcessFederation, in_process
from tests.server.node.feedback.silo import ABOUT_BOILER, BOILER, CRANE, Silo, silo
from tests.server.sealed.federation import make_ask

RIGHT = "Every Monday morning, and after each storm."


@asynccontextmanager
async def federation(
    folder: Path, *nodes: str, **options: Any
) -> AsyncIterator[tuple[InProcessFederation, dict[str, Silo]]]:
    """Each node holds other documents; the first knows of the boiler."""
    async with AsyncExitStack() as stack:
        inner = await stack.enter_async_context(in_process(folder))
        silos = {}
        for number, name in enumerate(nodes):
            place = await inner.enroll(name)
            documents = {"boiler.txt": BOILER} if number == 0 else {f"crane{number}.txt": f"{CRANE} Crane {number}."}
            silos[name] = await stack.enter_async_context(silo(place, documents, federation=inner, **options))
        yield inner, silos


async def asked(inner: InProcessFederation, **more: Any) -> dict[str, Any]:
    status, said = await inner.ask(question=ABOUT_BOILER, answer_mode="none", **more)
    assert status == 200, said
    return said


async def test_a_correction_reaches_the_node_that_contributed_and_becomes_an_example_when_it_is_accepted(
    tmp_path: Path,
) -> None:
    async with federation(tmp_path, "a", "b") as (inner, silos):
        said = await asked(inner)
        path = f"/v1/query/{said['query_id']}/feedback"
        status, taken = await inner.post(path, {"rating": "down", "correction": RIGHT})
        assert (status, taken) == (200, {"taken": ["a"], "failed": []})
        (held,) = await silos["a"].feedback.listed(10)
        assert (held.question, held.correction, held.rating, held.state) == (ABOUT_BOILER, RIGHT, -1, "pending")
        assert await silos["b"].feedback.listed(10) == []
        assert silos["a"].num_examples() == 0, "it waits for the operator"
        decided = await silos["a"].feedback.accept([held.remark_id])
        assert decided.outcomes == {held.remark_id: "accepted"}
        (example,) = silos["a"].datasets.load("feedback")
        assert (example.question, example.answers, example.passages) == (ABOUT_BOILER, (RIGHT,), (BOILER,))
        await inner.until(lambda: list(inner.state.registry.trainers("feedback")) == ["a"])
        info = (await inner.get("/v1/nodes"))[1]["nodes"][0]
        assert info["datasets"] == ["feedback"]
        assert RIGHT not in json.dumps(info)


async def test_the_coordinator_keeps_and_logs_nothing_of_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async with federation(tmp_path, "a") as (inner, silos):
        said = await asked(inner)
        await inner.post(f"/v1/query/{said['query_id']}/feedback", {"rating": -1, "correction": RIGHT})
        assert len(await silos["a"].feedback.listed(10)) == 1
        for file in (tmp_path / "coordinator").rglob("*"):
            content = file.read_bytes() if file.is_file() else b""
            assert b"after each storm" not in content, file
            assert said["query_id"].encode() not in content, file
        shown = capfd.readouterr()
        assert "storm" not in shown.out + shown.err


async def test_api_keys_are_told_apart_by_a_pseudonym_that_differs_between_nodes(tmp_path: Path) -> None:
    async with federation(tmp_path, "a", "b") as (inner, silos):
        other = new_api_key()
        await inner.state.database.add_key("second", hash_api_key(other), frozenset({"query"}))
        said = await asked(inner)
        path, body = f"/v1/query/{said['query_id']}/feedback", {"rating": 1, "nodes": ["a", "b"]}
        for key in (None, other, None):
            status, taken = await inner.post(path, body, key)
            assert (status, taken["taken"]) == (200, ["a", "b"])
        keys = {name: {held.key for held in await s.feedback.listed(10)} for name, s in silos.items()}
        assert {name: len(found) for name, found in keys.items()} == {"a": 2, "b": 2}
        assert not keys["a"] & keys["b"]


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({}, 422, "bad_request"),
    ({"rating": 2}, 422, "bad_request"),
    ({"rating": "great"}, 422, "bad_request"),
    ({"rating": 1, "correction": "x" * 4001}, 422, "bad_request"),
    ({"rating": 1, "correction": "\0"}, 422, "bad_request"),
    ({"rating": 1, "comment": "hello"}, 422, "bad_request"),
    ({"rating": 1, "nodes": ["A B"]}, 422, "bad_request"),
    ({"rating": 1, "sealed": {"a": "AAAA"}}, 422, "bad_request"),
    ({"sealed": {"a": "AAAA"}}, 503, "feedback_not_taken"),
    ({"rating": 1, "nodes": ["b"]}, 404, "not_found"),
]


async def test_what_is_no_feedback_is_refused(tmp_path: Path) -> None:
    async with federation(tmp_path, "a", "b", min_evidence=0.6) as (inner, silos):
        said = await asked(inner)
        path = f"/v1/query/{said['query_id']}/feedback"
        for body, status, code in REFUSED:
            got, problem = await inner.post(path, body)
            assert (got, problem["code"]) == (status, code), body
        reader = new_api_key()
        await inner.state.database.add_key("trains", hash_api_key(reader), frozenset({"train"}))
        assert (await inner.post(path, {"rating": 1}, reader))[0] == 403
        assert await silos["a"].feedback.listed(10) == []


async def test_an_unknown_id_is_404_a_kept_one_200_and_an_old_one_410(tmp_path: Path) -> None:
    async with federation(tmp_path, "a") as (inner, silos):
        body = {"rating": 1}
        assert (await inner.post(f"/v1/query/{'0' * 32}/feedback", body))[0] == 404
        assert (await inner.post(f"/v1/query/{'0' * 32}/feedback", body | {"nodes": ["a"]}))[0] == 404
        assert (await inner.post("/v1/query/nonsense/feedback", body))[0] == 422
        said = await asked(inner)
        path = f"/v1/query/{said['query_id']}/feedback"
        assert (await inner.post(path, body))[0] == 200
        questions = silos["a"].feedback.questions
        questions._clock = lambda clock=questions._clock: clock() + 7 * 86_400 + 1  # type: ignore[misc]
        status, problem = await inner.post(path, body)
        assert (status, problem["code"]) == (410, "feedback_expired")
        await asyncio.to_thread(questions.sweep)
        assert (await inner.post(path, body))[0] == 410, "the id outlives the question"
        assert b"north plant" not in silos["a"].folder.feedback.read_bytes()


async def test_after_a_restart_of_the_coordinator_the_asker_names_the_nodes(tmp_path: Path) -> None:
    async with federation(tmp_path, "a") as (inner, _), Client(inner.url, inner.api_key) as client:
        answer = await client.ask(ABOUT_BOILER, answer_mode="none")
        inner.state.feedback.contributors._known.clear()
        with pytest.raises(CoordinatorError, match="Name the nodes"):
            await client.feedback(answer.query_id, "up")
        assert (await client.feedback(answer, "up")).taken == ["a"]


@asynccontextmanager
async def recorded(inner: InProcessFederation) -> AsyncIterator[Capture]:
    assert inner.server.port
    async with capturing_relay(inner.server.port) as capture:
        yield capture


async def test_sealed_at_the_asker_the_coordinator_sees_neither_rating_nor_correction(tmp_path: Path) -> None:
    async with federation(tmp_path, "a") as (inner, silos), recorded(inner) as capture:
        identities = {"a": public_bytes(silos["a"].seals.identity)}
        async with Client(f"http://127.0.0.1:{capture.port}", inner.api_key) as client:
            answer = await client.ask(ABOUT_BOILER, answer_mode="none")
            taken = await client.feedback(answer, "down", RIGHT, identities=identities)
            assert taken.taken == ["a"]
            with pytest.raises(SealingError, match="another identity"):
                await client.feedback(answer, "down", RIGHT, identities={"a": bytes(32)})
        assert b"storm" not in capture.raw()
        assert b'"rating"' not in capture.raw()
        (held,) = await silos["a"].feedback.listed(10)
        assert (held.correction, held.rating) == (RIGHT, -1)


async def test_of_a_sealed_question_only_its_asker_may_say_something(tmp_path: Path) -> None:
    async with federation(tmp_path, "a") as (inner, silos):
        key, identities = Ed25519PrivateKey.generate(), {"a": public_bytes(silos["a"].seals.identity)}
        ask = make_ask(ABOUT_BOILER, mode=silos["a"].settings.policy.answer_modes[0])
        where = Coordinator(url=inner.url, api_key=inner.api_key)
        said = await ask_sealed(where, Trust(identities), key, ask, SealedPlan())
        status, problem = await inner.post(f"/v1/query/{said.query_id}/feedback", {"rating": 1, "nodes": ["a"]})
        assert (status, problem["failed"]) == (503, [{"node": "a", "code": "not_permitted"}])
        async with Client(inner.url, inner.api_key) as client:
            taken = await client.feedback(said.query_id, 1, RIGHT, nodes=["a"], identities=identities, signer=key)
        assert taken.taken == ["a"]
        assert [held.correction for held in await silos["a"].feedback.listed(10)] == [RIGHT]


async def test_a_node_that_is_away_or_takes_none_costs_its_own_part_alone(tmp_path: Path) -> None:
    async with federation(tmp_path, "a", "b") as (inner, silos):
        said = await asked(inner)
        await inner.leave("b")
        path = f"/v1/query/{said['query_id']}/feedback"
        status, taken = await inner.post(path, {"rating": 1, "nodes": ["a", "b", "stranger"]})
        failed = {item["node"]: item["code"] for item in taken["failed"]}
        assert (status, taken["taken"]) == (200, ["a"])
        assert failed == {"b": "not_connected", "stranger": "unknown_node"}
        await silos["a"].gate.stop()
        status, problem = await inner.post(path, {"rating": 1})
        assert (status, problem["failed"]) == (503, [{"node": "a", "code": "release_stopped"}])


async def test_without_keeping_questions_a_node_takes_no_feedback(tmp_path: Path) -> None:
    async with federation(tmp_path, "a", feedback={"keep_days": 0}) as (inner, silos):
        said = await asked(inner)
        status, problem = await inner.post(f"/v1/query/{said['query_id']}/feedback", {"rating": 1})
        assert (status, problem["failed"]) == (503, [{"node": "a", "code": "not_offered"}])
        assert not silos["a"].folder.feedback.exists()
