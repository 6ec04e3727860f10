"""Percentiles, the floor, and CPU time, by values known beforehand."""

import asyncio
import subprocess
import sys
import time

from server.benchmark.floor import FloorFleet
from server.benchmark.idle import idle_cpu_percent
from server.benchmark.latency import Latency, percentiles


def test_percentiles_of_one_to_hundred_and_one_milliseconds() -> None:
    """With 101 ordered samples the p-th percentile is the (p + 1)-th of them."""
    samples_s = [milliseconds / 1000 for milliseconds in range(101, 0, -1)]
    assert percentiles(samples_s) == Latency(p50_ms=51.0, p95_ms=96.0, p99_ms=100.0)


def test_one_sample_is_all_its_percentiles() -> None:
    assert percentiles([0.002]) == Latency(p50_ms=2.0, p95_ms=2.0, p99_ms=2.0)


async def test_the_floor_gathers_every_servers_payload() -> None:
    async with FloorFleet(num_servers=2, payload_bytes=1234) as floor:
        assert await floor.ask() == 2468
        assert await floor.ask() == 2468


def test_a_floor_server_ends_with_the_process_that_started_it() -> None:
    command = [sys.executable, "-m", "server.benchmark.floor", "10"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        assert int(server.stdout.readline()) > 0
        server.stdin.close()
        assert server.wait(timeout=10) == 0


async def test_a_sleeping_process_uses_less_than_a_busy_one() -> None:
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    idle = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        await asyncio.to_thread(time.sleep, 0.2)
        at_rest = await idle_cpu_percent([idle.pid], 0.5)
        at_work = await idle_cpu_percent([busy.pid], 0.5)
    finally:
        for process in (busy, idle):
            process.kill()
            process.wait()
    assert at_rest < at_work
