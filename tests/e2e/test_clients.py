"""The clients that people already have, each with a streamed answer from three nodes: openai, LangChain, MCP, curl."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from frag.client import Accepted, Aggregated, Done, NodeReplied, Routed, Settled, SyncClient, Token
from server.local_federation import LocalFederation
from tests.e2e.federation_of_three import ANSWERS, FACTS, QUESTION, federation_of_three

MESSAGES: Any = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="session")
def federation(real_models: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFederation]:
    with federation_of_three(tmp_path_factory.mktemp("three")) as running:
        yield running


@pytest.fixture
def asker(federation: LocalFederation) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{federation.url}/v1", api_key=federation.api_key, max_retries=0) as client:
        yield client


def test_openai_streams_chat_and_responses(asker: openai.OpenAI) -> None:
    chunks = list(asker.chat.completions.create(model="frag:synthesize", messages=MESSAGES, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert all(fact in text for fact in FACTS)
    assert sorted(node["node"] for node in chunks[-1].model_extra["frag"]["nodes"]) == sorted(ANSWERS)
    with asker.responses.stream(model="frag", input=QUESTION) as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(pieces) == final.output_text
    assert final.output_text in ANSWERS.values()


def test_langchain_streams_with_metadata(federation: LocalFederation) -> None:
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="frag:synthesize", base_url=f"{federation.url}/v1", api_key=federation.api_key)
    chunks = list(model.stream(QUESTION))
    text = "".join(str(chunk.content) for chunk in chunks)
    assert all(fact in text for fact in FACTS)
    whole = model.invoke([("system", "Be brief."), ("human", QUESTION)])
    assert all(fact in str(whole.content) for fact in FACTS)
    assert whole.usage_metadata["total_tokens"] > 10


def test_curl_gets_chunks_and_the_end_mark(federation: LocalFederation) -> None:
    body = json.dumps({"model": "frag", "messages": MESSAGES, "stream": True})
    command = ["curl", "-sN", "--max-time", "20", f"{federation.url}/v1/chat/completions", "-d", body]
    header = ["-H", f"Authorization: Bearer {federation.api_key}"]
    shown = subprocess.run([*command, *header], capture_output=True, text=True, check=True).stdout
    events = shown.strip().split("\n\n")
    assert events[-1] == "data: [DONE]"
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-1]]
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert text in ANSWERS.values()


def test_mcp_asks_and_lists_over_stdio(federation: LocalFederation) -> None:
    from mcp import Client, StdioServerParameters

    environment = {"FRAG_URL": federation.url, "FRAG_API_KEY": federation.api_key, "PATH": os.environ["PATH"]}
    environment |= {name: os.environ[name] for name in ("PYTHONPATH", "HOME") if name in os.environ}
    server = StdioServerParameters(command=sys.executable, args=["-m", "server.cli", "mcp"], env=environment)
    told: list[str] = []

    async def progress(_done: float, _total: float | None, message: str | None) -> None:
        told.append(str(message))

    async def use() -> tuple[Any, Any, Any, Any]:
        async with Client(server) as client:
            tools = await client.list_tools()
            answer = await client.call_tool("ask", {"question": QUESTION}, progress_callback=progress)
            nodes = await client.call_tool("list_nodes", {})
            refused = await client.call_tool("ask", {"question": QUESTION, "nodes": ["nobody"]})
            return tools, answer, nodes, refused

    tools, answer, nodes, refused = asyncio.run(use())
    assert sorted(tool.name for tool in tools.tools) == ["ask", "list_nodes"]
    assert answer.structured_content["answer"] in ANSWERS.values()
    assert answer.structured_content["contributors"]
    assert sorted(told) == [f"{node} answered" for node in sorted(ANSWERS)]
    assert {node["node"]: node["connected"] for node in nodes.structured_content["nodes"]} == dict.fromkeys(
        ANSWERS, True
    )
    assert refused.is_error
    assert "not enrolled" in refused.content[0].text


def test_the_first_event_comes_within_50_ms(federation: LocalFederation, asker: openai.OpenAI) -> None:
    """The best of five, since this machine is busy with other things."""
    waits: dict[str, list[float]] = {"query": [], "openai": []}
    with SyncClient(federation.url, federation.api_key) as client:
        client.nodes()
        for _ in range(5):
            started = time.perf_counter()
            events = client.stream(QUESTION)
            assert isinstance(next(events), Accepted)
            waits["query"].append(time.perf_counter() - started)
            list(events)
            started = time.perf_counter()
            chunks = iter(asker.chat.completions.create(model="frag", messages=MESSAGES, stream=True))
            assert next(chunks).choices[0].delta.role == "assistant"
            waits["openai"].append(time.perf_counter() - started)
            list(chunks)
    assert {name: min(values) < 0.05 for name, values in waits.items()} == {"query": True, "openai": True}, waits


def test_a_synthesised_answer_is_streamed_as_it_is_written(federation: LocalFederation) -> None:
    with SyncClient(federation.url, federation.api_key) as client:
        client.ask(QUESTION, aggregation="synthesize")  # loads the coordinator's model
        timed = [(time.perf_counter(), event) for event in client.stream(QUESTION, aggregation="synthesize")]
    kinds = [type(event) for _, event in timed]
    assert kinds[:2] == [Accepted, Routed]
    assert kinds[2:5] == [NodeReplied] * 3
    assert kinds[-2:] == [Aggregated, Done]
    tokens = [(at, event) for at, event in timed if isinstance(event, Token)]
    answer = timed[-1][1].answer
    assert len(tokens) > 5
    assert timed[-1][0] - tokens[0][0] > 0.5 * (timed[-1][0] - timed[4][0]) > 0, (
        "tokens come one by one, not at the end"
    )
    assert answer.text.startswith("".join(event.text for _, event in timed if isinstance(event, Settled)))
    assert all(fact in answer.text for fact in FACTS)


def test_no_log_line_holds_a_key_or_a_text(federation: LocalFederation, asker: openai.OpenAI) -> None:
    asker.chat.completions.create(model="frag", messages=MESSAGES)
    logs = "".join(path.read_text() for path in Path(federation.folder / "logs").glob("*.log"))
    assert "query_id" in logs
    assert not re.search(rf"{federation.api_key}|Zanoril|Hillside", logs)
