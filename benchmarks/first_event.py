"""How long an asker waits for the first event of a stream: three real node processes that answer filler.

    python -m benchmarks.first_event [--requests 200] [--json]

The clock runs from the request to the first parsed event, over a connection that is open, after ten warm-up requests.
The first event says that the coordinator has the question: nodes and models have no part in it.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from frag.client import SyncClient
from server.benchmark.latency import percentiles
from server.local_federation import LocalFederation

_QUESTION = "How long is the waiting time?"
_NODES = ("null-0", "null-1", "null-2")
_WARM_UP = 10
_GOAL_S = 0.05
_UNLIMITED = 60_000


async def measure(folder: Path, number: int) -> dict[str, Any]:
    """Starts a federation in `folder`, asks it `number` times with each client, and ends it."""
    async with LocalFederation(folder, {"queries_per_minute": _UNLIMITED}) as federation:
        for name in _NODES:
            await federation.add_node(name, {"policy": {"answer_modes": ["none"], "questions_per_minute": _UNLIMITED}})
            federation.start_null_node(name, 500)
        await federation.wait_for_nodes(_NODES)
        clients = await asyncio.to_thread(_by_client, federation.url, federation.api_key, number)
    return {"nodes": len(_NODES), "requests": number, "goal_ms": 1000 * _GOAL_S, "clients": clients}


def _by_client(url: str, key: str, number: int) -> dict[str, Any]:
    import openai

    messages: Any = [{"role": "user", "content": _QUESTION}]
    with SyncClient(url, key) as own, openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as chat:
        asked = chat.chat.completions
        return {
            "frag.client": _waits(lambda: own.stream(_QUESTION, answer_mode="none"), number),
            "openai": _waits(lambda: iter(asked.create(model="frag:none", messages=messages, stream=True)), number),
        }


def _waits(ask: Callable[[], Iterator[Any]], number: int) -> dict[str, float]:
    taken = [_first_event_s(ask) for _ in range(_WARM_UP + number)][_WARM_UP:]
    within = sum(wait <= _GOAL_S for wait in taken) / number
    return {**msgspec.to_builtins(percentiles(taken)), "max_ms": round(1000 * max(taken), 3), "within_goal": within}


def _first_event_s(ask: Callable[[], Iterator[Any]]) -> float:
    started = time.perf_counter()
    events = ask()
    next(events)
    took = time.perf_counter() - started
    for _ in events:  # the answer is read to its end, so that questions do not pile up
        pass
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="frag-first-event-") as folder:
        report = asyncio.run(measure(Path(folder), arguments.requests))
    if arguments.json:
        print(json.dumps(report))
        return
    for name, waits in report["clients"].items():
        print(f"{name}: p50 {waits['p50_ms']:.1f} ms, p95 {waits['p95_ms']:.1f} ms, max {waits['max_ms']:.1f} ms")


if __name__ == "__main__":
    main()
