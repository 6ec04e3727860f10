"""The price of the fan-out: the shipped service with null nodes, beside bare HTTP as the floor.

Everything that guards a question is on: API key, node identity by handshake, the node's policy, the deadline. The nodes
answer filler, so that neither retrieval nor generation is in the figure.
"""

import asyncio
import gc
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import msgspec

from frag.errors import ModelError
from frag.settings import ModelSettings
from server.benchmark import BenchmarkError, OnProgress
from server.benchmark.floor import FloorFleet
from server.benchmark.idle import idle_cpu_percent
from server.benchmark.latency import Latency, percentiles
from server.benchmark.scrub import scrub_ms_per_answer
from server.local_federation import LocalFederation

_Reply = TypeVar("_Reply")

NUM_WARM_UP = 20
_STARTING_AT_ONCE = 2 * (os.cpu_count() or 1)
_UNLIMITED_PER_MINUTE = 1_000_000_000
_QUESTION = msgspec.json.encode(
    {"question": "What does the fan-out cost?", "answer_mode": "none", "aggregation": "best"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FanoutPlan:
    """What is measured. `idle_s` is the window over which idle nodes are watched; 0 leaves that out."""

    nodes: int
    payload_bytes: int
    num_queries: int = 500
    concurrency: int = 1
    with_floor: bool = True
    idle_s: float = 16.0


class FanoutReport(Latency, frozen=True, kw_only=True):
    """Latency of `POST /v1/query` as the asker sees it, and what belongs beside it; null: not measured.

    `ratio_to_floor` compares the medians; `idle_cpu_percent` is per connected node, of one core.
    """

    nodes: int
    payload_bytes: int
    num_queries: int
    concurrency: int
    floor: Latency | None
    ratio_to_floor: float | None
    scrub_ms_per_answer: float | None
    idle_cpu_percent: float | None


class _Answer(msgspec.Struct):
    """The part of a response that shows that all nodes did their work."""

    answered: list[dict[str, Any]] = []


async def measure_fanout(folder: Path, plan: FanoutPlan, on_progress: OnProgress) -> FanoutReport:
    """Starts a federation in `folder`, measures, and ends it.

    Raises:
        UnreachableError: A process did not start.
        BenchmarkError: A question did not get every node's whole payload.
    """
    async with AsyncExitStack() as stack:
        settings = {"queries_per_minute": _UNLIMITED_PER_MINUTE}
        federation = await stack.enter_async_context(LocalFederation(folder, settings))
        names = await _start_nodes(federation, plan, on_progress)
        floor: FloorFleet | None = None
        if plan.with_floor:
            on_progress("starting the floor", 0.0)
            floor = await stack.enter_async_context(FloorFleet(plan.nodes, plan.payload_bytes))
        session = await stack.enter_async_context(
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {federation.api_key}"})
        )
        samples_s, floor_s = await _interleave(_Asker(session, federation.url, plan), floor, plan, on_progress)
        process_ids = [federation.processes[name].pid for name in names]
        idle, scrub = await _apart(process_ids, plan, on_progress)
    return _report(plan, samples_s, floor_s, idle, scrub)


async def _start_nodes(federation: LocalFederation, plan: FanoutPlan, on_progress: OnProgress) -> list[str]:
    """A few at a time: the start of a process is CPU-bound, and a hundred at once would miss their deadlines."""
    names = [f"null-{number:04d}" for number in range(plan.nodes)]
    policy = {"answer_modes": ["none"], "questions_per_minute": _UNLIMITED_PER_MINUTE}
    for first in range(0, len(names), _STARTING_AT_ONCE):
        on_progress("starting nodes", first / len(names))
        started = names[first : first + _STARTING_AT_ONCE]
        for name in started:
            await federation.add_node(name, {"policy": policy})
            federation.start_null_node(name, plan.payload_bytes)
        await federation.wait_for_nodes(started)
    return names


class _Asker:
    """Asks the service over kept-alive connections, and checks what it got."""

    def __init__(self, session: aiohttp.ClientSession, url: str, plan: FanoutPlan) -> None:
        self._session = session
        self._url = f"{url}/v1/query"
        self._plan = plan

    async def ask(self) -> bytes:
        async with self._session.post(
            self._url, data=_QUESTION, headers={"Content-Type": "application/json"}
        ) as answer:
            return await answer.read()

    def check(self, body: bytes) -> None:
        """Raises BenchmarkError unless every node's whole payload came back."""
        sizes = [len(item["answer"]) for item in msgspec.json.decode(body, type=_Answer).answered]
        if sizes != [self._plan.payload_bytes] * self._plan.nodes:
            raise BenchmarkError(
                f"{len(sizes)} of {self._plan.nodes} nodes answered; {body[:200]!r}.", "See the coordinator's log."
            )


async def _interleave(
    asker: _Asker, floor: FloorFleet | None, plan: FanoutPlan, on_progress: OnProgress
) -> tuple[list[float], list[float]]:
    """Alternates waves of `concurrency` questions with as many bare fan-outs, so that noise hits both alike."""
    samples_s: list[float] = []
    floor_s: list[float] = []
    warm_up = -(-NUM_WARM_UP // plan.concurrency) * plan.concurrency
    wanted = warm_up + plan.num_queries
    gc.collect()
    gc.freeze()
    while (left := wanted - len(samples_s)) > 0:
        on_progress("asking", len(samples_s) / wanted)
        width = min(plan.concurrency, left)
        for body in await _wave(asker.ask, width, samples_s):
            asker.check(body)
        if floor is not None:
            await _wave(floor.ask, width, floor_s)
    gc.unfreeze()
    return samples_s[warm_up:], floor_s[warm_up:]


async def _wave(ask: Callable[[], Awaitable[_Reply]], width: int, samples_s: list[float]) -> list[_Reply]:
    """`width` calls at once; appends the seconds that each took."""

    async def timed() -> _Reply:
        started = time.perf_counter()
        reply = await ask()
        samples_s.append(time.perf_counter() - started)
        return reply

    return await asyncio.gather(*(timed() for _ in range(width)))


async def _apart(
    process_ids: Sequence[int], plan: FanoutPlan, on_progress: OnProgress
) -> tuple[float | None, float | None]:
    """Scrubs while the nodes idle: CPU time of theirs does not depend on what else runs."""
    on_progress("watching idle nodes, scrubbing", 0.0)
    scrubbing = asyncio.create_task(asyncio.to_thread(_scrub_ms, plan.payload_bytes))
    idle = await idle_cpu_percent(process_ids, plan.idle_s) if plan.idle_s > 0 else None
    return idle, await scrubbing


def _scrub_ms(num_chars: int) -> float | None:
    try:
        return scrub_ms_per_answer(num_chars, ModelSettings())
    except ModelError:
        return None


def _report(
    plan: FanoutPlan,
    samples_s: Sequence[float],
    floor_s: Sequence[float],
    idle: float | None,
    scrub: float | None,
) -> FanoutReport:
    latency = percentiles(samples_s)
    floor = percentiles(floor_s) if floor_s else None
    return FanoutReport(
        nodes=plan.nodes,
        payload_bytes=plan.payload_bytes,
        num_queries=plan.num_queries,
        concurrency=plan.concurrency,
        p50_ms=latency.p50_ms,
        p95_ms=latency.p95_ms,
        p99_ms=latency.p99_ms,
        floor=floor,
        ratio_to_floor=round(latency.p50_ms / floor.p50_ms, 2) if floor else None,
        scrub_ms_per_answer=scrub,
        idle_cpu_percent=idle,
    )
