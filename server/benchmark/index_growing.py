"""How long a search takes while the product's index grows: vectors come in, and are sealed and merged meanwhile."""

import itertools
import threading
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from frag.protocols import FloatArray
from server.benchmark.contenders import Frag
from server.benchmark.vectors import read_blocks

_BLOCKS = 10
_ROWS = 8_192
_TOP_K = 10


def growing_p95(contender: Frag, vectors: Path, questions: FloatArray) -> dict[str, float]:
    """95th percentiles in milliseconds, by what the index was doing when a search began.

    Searches go on one at a time from the first of ten more blocks, taken from the file `vectors`, to the last merge.
    """
    adding = threading.Thread(target=_add, args=(contender, vectors))
    adding.start()
    times: dict[str, list[float]] = defaultdict(list)
    for question in itertools.cycle(questions):
        doing = contender.keeper.doing
        began = time.perf_counter()
        contender.search(question, _TOP_K)
        times[doing].append(time.perf_counter() - began)
        if not adding.is_alive() and not contender.keeper.is_busy:
            break
    adding.join()
    return {f"p95_ms_while_{doing}": _p95_ms(times[doing]) for doing in ("sealing", "merging") if times[doing]}


def _add(contender: Frag, vectors: Path) -> None:
    for block in itertools.islice(itertools.cycle(read_blocks(vectors, _ROWS)), _BLOCKS):
        contender.add(block)


def _p95_ms(seconds: list[float]) -> float:
    return round(1000 * float(np.percentile(seconds, 95)), 3)
