"""Kills a process that changes an index at random moments and looks whether the index kept its word.

`python benchmarks/index_kills.py [--kills 200] [--embedder] [--out results/index_kills.json]`

Documents are added, changed and deleted, segments sealed and merged; with `--embedder`, the embedder is changed over
meanwhile. What is done, killed and checked is in `tests/retrievers/segments/index_kills.py` and
`tests/server/node/reembedding_kills.py`: the test suite plays a few cycles of both.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from frag.durable import write_atomic
from tests.retrievers.segments import index_kills
from tests.server.node import reembedding_kills


def show(kills: int, changes: int) -> None:
    print(f"\r{kills} kills, {changes} changes", end="", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--embedder", action="store_true")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        what = reembedding_kills if chosen.embedder else index_kills
        found = what.play(Path(name) / "index", chosen.kills, chosen.seed, show)
    print(json.dumps(found))
    if chosen.out:
        write_atomic(chosen.out, json.dumps(found, indent=2).encode())
    if found["documents_not_as_promised"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
