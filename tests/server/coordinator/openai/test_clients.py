"""The real `openai` package over an in-process federation: what its users see."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from frag.client import Client
from frag.errors import UnreachableError
from frag.types import Aggregate, Citation, NodeAnswer
from server.coordinator.auth import hash_api_key, new_api_key
from tests.server.in_process import InProcessFederation, in_process, says, withholds

CITED = says("Nine days.", 0.9, citations=(Citation(document_alias="00ff", score=0.8),), redactions={"PERSON": 1})
QUESTION = [{"role": "user", "content": "How long?"}]


@asynccontextmanager
async def client_of(federation: InProcessFederation, key: str | None = None) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{federation.url}/v1", api_key=key or federation.api_key, max_retries=0
    ) as client:
        yield client


@asynccontextmanager
async def federation_of_two(tmp_path: Path, **settings: Any) -> AsyncIterator[InProcessFederation]:
    async with in_process(tmp_path, settings) as federation:
        await federation.join("a", CITED)
        await federation.join("b", withholds("no_evidence"))
        yield federation


async def test_modes_that_the_federation_allows_and_somebody_answers_in_are_models(tmp_path: Path) -> None:
    async with in_process(tmp_path, {"answer_modes": ["scrub", "dp"]}) as federation, client_of(federation) as client:
        assert [model.id async for model in client.models.list()] == []
        with pytest.raises(openai.NotFoundError, match="No connected node answers as 'frag:scrub' now"):
            await client.models.retrieve("frag:scrub")
        await federation.join("a", CITED)
        names = [model.id async for model in client.models.list()]
        assert names == ["frag", "frag:scrub", "frag:dp", "frag:synthesize"]
        assert (await client.models.retrieve("frag:scrub")).owned_by == "frag"
        with pytest.raises(openai.NotFoundError, match="'frag:none' does not exist here") as error:
            await client.models.retrieve("frag:none")
    assert error.value.code == "model_not_found"


@pytest.mark.parametrize(("stores", "said"), [(True, "Nothing was stored"), (False, ""), (None, "")])
async def test_an_answer_says_that_nothing_is_stored(tmp_path: Path, stores: bool | None, said: str) -> None:
    async with federation_of_two(tmp_path) as federation, client_of(federation) as client:
        chat = await client.chat.completions.create(model="frag", messages=QUESTION, store=stores)
        whole = await client.responses.create(model="frag", input="How long?", store=stores)
        with pytest.raises(openai.NotFoundError, match="stores nothing"):
            await client.responses.retrieve(whole.id)
    notes = [answer.model_extra["frag"]["note"] for answer in (chat, whole)]
    assert [note.partition(":")[0] for note in notes] == [said, said]
    assert whole.store is False


async def test_what_a_federation_does_not_serve_is_refused_in_the_clients_form(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation, client_of(federation) as client:
        calls = {
            "POST /v1/embeddings": client.embeddings.create(model="frag", input="How long?"),
            "POST /v1/completions": client.completions.create(model="frag", prompt="How long?"),
            "POST /v1/images/generations": client.images.generate(prompt="A clinic"),
            "GET /v1/files/f1": client.files.retrieve("f1"),
        }
        for url, call in calls.items():
            with pytest.raises(openai.NotFoundError, match="use POST /v1/chat/completions") as error:
                await call
            assert (error.value.type, error.value.code, error.value.param) == (
                "invalid_request_error",
                "unknown_url",
                None,
            )
            assert f"Unknown request URL: {url}." in error.value.message
            assert error.value.response.headers["x-should-retry"] == "false"
        for base in (federation.url, f"{federation.url}/v1/v1"):
            lost = client.with_options(base_url=base)
            with pytest.raises(openai.NotFoundError, match=r"base URL end in /v1"):
                await lost.chat.completions.create(model="frag", messages=QUESTION)
            with pytest.raises(openai.NotFoundError, match=r"base URL end in /v1"):
                await lost.models.list()
        status, problem = await federation.post("/v1/nonsense", {})
    assert (status, problem["code"]) == (404, "not_found"), "others are frag's own, in frag's form"
    assert problem["detail"] == "There is no /v1/nonsense here."


async def test_a_completion_has_citations_usage_and_who_withheld(tmp_path: Path) -> None:
    async with federation_of_two(tmp_path) as federation, client_of(federation) as client:
        answer = await client.chat.completions.create(model="frag", messages=QUESTION, temperature=0.2, max_tokens=50)
    message = answer.choices[0].message
    assert message.content == "Nine days."
    (citation,) = message.annotations
    assert (citation.url_citation.title, citation.url_citation.url) == ("a: document 00ff", "urn:frag:a:00ff")
    assert (citation.url_citation.start_index, citation.url_citation.end_index) == (0, 10)
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (3, 3, 6)
    frag = answer.model_extra["frag"]
    assert frag["found"] is True
    assert [(node["node"], node["redactions"]) for node in frag["nodes"]] == [("a", {"PERSON": 1})]
    assert frag["withheld"] == [{"node": "b", "reason": "no_evidence"}]
    assert "types" in frag["promise"]


async def test_a_streamed_completion_is_the_same_in_pieces(tmp_path: Path) -> None:
    async with federation_of_two(tmp_path) as federation, client_of(federation) as client:
        stream = await client.chat.completions.create(
            model="frag:scrub", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Nine days."
    last = chunks[-2]
    assert last.choices[0].finish_reason == "stop"
    assert last.choices[0].delta.model_extra["annotations"][0]["url_citation"]["title"] == "a: document 00ff"
    assert last.model_extra["frag"]["withheld"] == [{"node": "b", "reason": "no_evidence"}]
    assert chunks[-1].usage.total_tokens == 6
    assert len({chunk.id for chunk in chunks}) == 1


async def test_responses_are_answered_whole_and_by_events(tmp_path: Path) -> None:
    async with federation_of_two(tmp_path) as federation, client_of(federation) as client:
        whole = await client.responses.create(model="frag", input="How long?")
        stream = await client.responses.create(model="frag", input=QUESTION, stream=True)
        events = [event async for event in stream]
    assert whole.output_text == "Nine days."
    assert whole.output[0].content[0].annotations[0].url == "urn:frag:a:00ff"
    assert whole.usage.total_tokens == 6
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.annotation.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(10))
    assert events[-1].response.output_text == "Nine days."
    assert events[-1].response.model_extra["frag"]["found"] is True


async def test_the_last_message_is_the_question_and_nodes_see_no_other(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation, client_of(federation) as client:
        node = await federation.join("a", CITED)
        messages = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Secret plan?"},
            {"role": "assistant", "content": "None."},
            {"role": "user", "content": [{"type": "text", "text": "How long?"}]},
        ]
        answer = await client.chat.completions.create(model="frag", messages=messages)
    assert [ask.question for ask in node.asked] == ["How long?"]
    assert answer.model_extra["frag"]["messages_ignored"] == 3
    assert "3 earlier messages were not sent" in answer.model_extra["frag"]["note"]


async def test_fields_of_a_query_go_in_an_extension(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation, client_of(federation) as client:
        await federation.join("a", CITED)
        node = await federation.join("b", says("Ten.", 0.1))
        answer = await client.chat.completions.create(
            model="frag", messages=QUESTION, extra_body={"frag": {"nodes": ["b"], "top_k": 3, "aggregation": "vote"}}
        )
        with pytest.raises(openai.BadRequestError) as error:
            await client.chat.completions.create(model="frag", messages=QUESTION, extra_body={"frag": {"top_k": 0}})
    assert answer.choices[0].message.content == "Ten."
    assert node.asked[0].top_k == 3
    assert answer.model_extra["frag"]["aggregation"] == "vote"
    assert "top_k" in str(error.value)


async def test_no_answer_is_a_sentence_and_a_flag(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation, client_of(federation) as client:
        await federation.join("a", withholds("no_evidence"))
        answer = await client.chat.completions.create(model="frag", messages=QUESTION)
    assert answer.choices[0].message.content == "No node has evidence for an answer that it may release."
    assert answer.model_extra["frag"]["found"] is False


@pytest.mark.parametrize(
    ("param", "more"),
    [
        ("n", {"n": 2}),
        ("tools", {"tools": [{"type": "function", "function": {"name": "f"}}]}),
        ("stop", {"stop": ["."]}),
        ("logprobs", {"logprobs": True}),
        ("response_format", {"response_format": {"type": "json_object"}}),
        ("messages", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}),
        ("messages", {"messages": [*QUESTION, {"role": "assistant", "content": "Nine"}]}),
        ("messages", {"messages": [{"role": "user", "content": " "}]}),
        ("messages", {"messages": [{"role": "user", "content": "x" * 8001}]}),
    ],
)
async def test_what_a_federation_cannot_do_is_refused_by_name(tmp_path: Path, param: str, more: dict[str, Any]) -> None:
    async with in_process(tmp_path) as federation, client_of(federation) as client:
        node = await federation.join("a", CITED)
        with pytest.raises(openai.BadRequestError) as error:
            await client.chat.completions.create(**{"model": "frag", "messages": QUESTION, **more})
    assert (error.value.param, error.value.type) == (param, "invalid_request_error")
    assert node.asked == []


@pytest.mark.parametrize("stream", [False, True])
async def test_errors_have_the_form_that_the_client_knows(tmp_path: Path, stream: bool) -> None:
    async with in_process(tmp_path) as federation, client_of(federation) as client:

        async def fails(kind: type[openai.APIStatusError], asker: openai.AsyncOpenAI, **more: Any) -> Any:
            with pytest.raises(kind) as error:
                await asker.chat.completions.create(**{"model": "frag", "messages": QUESTION, "stream": stream, **more})
            return error.value.code, error.value.type, error.value.param

        server_error = "server_error"
        assert await fails(openai.InternalServerError, client) == ("no_nodes", server_error, None)
        unknown = await fails(openai.NotFoundError, client, model="gpt-5")
        assert unknown == ("model_not_found", "invalid_request_error", "model")
        async with client_of(federation, "frag_wrong") as stranger:
            refused = await fails(openai.AuthenticationError, stranger)
        assert refused == ("invalid_api_key", "authentication_error", None)
        key = new_api_key()
        await federation.state.database.add_key("trainer", hash_api_key(key), frozenset({"train"}))
        async with client_of(federation, key) as trainer:
            assert (await fails(openai.PermissionDeniedError, trainer))[0] == "not_permitted"


async def test_rate_limits_and_strange_requests_have_it_too(tmp_path: Path) -> None:
    async with in_process(tmp_path, {"queries_per_minute": 1}) as federation, client_of(federation) as client:
        await client.models.list()
        with pytest.raises(openai.RateLimitError) as error:
            await client.models.list()
        assert error.value.code == "rate_limit_exceeded"
        assert float(error.value.response.headers["retry-after"]) > 0
        async with federation.session.get(f"{federation.url}/v1/chat/completions") as answer:
            body = await answer.json()
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"] == "/v1/chat/completions does not take GET. Use POST."


async def test_what_fails_under_way_ends_the_stream_with_an_error(tmp_path: Path) -> None:
    fields = {"frag": {"min_nodes": 2, "deadline_s": 1}}
    async with in_process(tmp_path) as federation, client_of(federation) as client:
        await federation.join("a", CITED)
        stream = await client.chat.completions.create(model="frag", messages=QUESTION, stream=True, extra_body=fields)
        with pytest.raises(openai.APIError) as error:
            [chunk async for chunk in stream]
        events = await client.responses.create(model="frag", input="How long?", stream=True, extra_body=fields)
        last = [event async for event in events][-1]
    assert error.value.code == "quorum_not_met"
    assert last.type == "response.failed"
    assert last.response.error.code == "quorum_not_met"


class Broken:
    method = "best"

    async def aggregate(self, question: str, answers: Sequence[NodeAnswer]) -> Aggregate:
        raise RuntimeError("a bug")


async def test_a_bug_under_way_never_looks_like_an_end(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation, client_of(federation) as client:
        await federation.join("a", CITED)
        federation.state.query.aggregators["best"] = Broken()  # type: ignore[index]
        stream = await client.chat.completions.create(model="frag", messages=QUESTION, stream=True)
        with pytest.raises((openai.APIError, httpx2.TransportError)):
            [chunk async for chunk in stream]
        async with Client(federation.url, federation.api_key) as own:
            with pytest.raises(UnreachableError):
                await own.ask("How long?")


async def test_a_long_body_is_refused_and_no_text_is_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with in_process(tmp_path) as federation, client_of(federation) as client:
        await federation.join("a", CITED)
        with pytest.raises(openai.APIStatusError) as error:
            await client.chat.completions.create(model="frag", messages=[{"role": "user", "content": "x" * 300_000}])
        await client.chat.completions.create(model="frag", messages=[{"role": "user", "content": "Zanoril dose?"}])
        key = federation.api_key
    shown = "".join(capsys.readouterr())
    assert error.value.status_code == 413
    assert "query_id" in shown
    assert "Zanoril" not in shown
    assert key not in shown
