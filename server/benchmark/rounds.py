"""What a round costs the coordinator: updates decoded, checked, summed and applied one by one, nothing kept of them."""

import resource
import time
from dataclasses import dataclass

import numpy as np

from frag.quantization import Encoding, decode, encode
from frag.updates import Update, Weights
from prompt_tuning.job import JobSettings
from prompt_tuning.rounds import Round
from prompt_tuning.strategies import ServerState

_NUM_DISTINCT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundsReport:
    """`sum_s` is from the first update's bytes to the new weights; `peak_rss_mib` is of the whole process."""

    nodes: int
    update_bytes: int
    sum_s: float
    peak_rss_mib: float
    growth_mib: float


def measure_rounds(num_nodes: int, shape: tuple[int, int], encoding: Encoding) -> RoundsReport:
    """One round of `num_nodes` updates of a prompt of `shape`, encoded as they travel."""
    job = JobSettings.model_validate({"name": "bench", "dataset": "bench", "update": {"encoding": encoding}})
    weights: Weights = {"virtual_tokens": np.zeros(shape, np.float32)}
    random = np.random.default_rng(0)
    contents = [
        encode({"virtual_tokens": random.standard_normal(shape).astype(np.float32) * np.float32(0.01)}, encoding)
        for _ in range(_NUM_DISTINCT)
    ]
    before = _peak_mib()
    started = time.perf_counter()
    current = Round(job, ServerState(weights=weights))
    for number in range(num_nodes):
        delta = decode(contents[number % _NUM_DISTINCT], weights, encoding)
        current.offer(Update(node_id=f"node-{number}", round_num=0, delta=delta, num_examples=1 + number % 50))
    result = current.finish()
    seconds = time.perf_counter() - started
    if len(result.contributors) != num_nodes:
        raise RuntimeError("an update was left out")
    return RoundsReport(
        nodes=num_nodes,
        update_bytes=len(contents[0]),
        sum_s=round(seconds, 4),
        peak_rss_mib=round(_peak_mib(), 1),
        growth_mib=round(_peak_mib() - before, 1),
    )


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
