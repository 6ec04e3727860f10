"""What processes cost that do nothing."""

import asyncio
import time
from collections.abc import Sequence

import psutil


async def idle_cpu_percent(process_ids: Sequence[int], window_s: float) -> float:
    """Mean CPU time of these processes over `window_s` seconds, as a percentage of one core."""
    processes = [psutil.Process(process_id) for process_id in process_ids]
    used_s, started = _cpu_s(processes), time.monotonic()
    await asyncio.sleep(window_s)
    used_s = _cpu_s(processes) - used_s
    return round(100 * used_s / (time.monotonic() - started) / len(processes), 3)


def _cpu_s(processes: Sequence[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return sum(time.user + time.system for time in times)
