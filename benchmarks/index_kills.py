"""Kills a process that changes an index at random moments and looks whether the index kept its word.

`python benchmarks/index_kills.py [--kills 200] [--out results/index_kills.json]`

What is done, killed and checked is in `tests/retrievers/segments/index_kills.py`: the test suite plays five cycles.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from frag.durable import write_atomic
from tests.retrievers.segments.index_kills import play


def show(kills: int, changes: int) -> None:
    print(f"\r{kills} kills, {changes} changes", end="", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = play(Path(name) / "index", chosen.kills, chosen.seed, show)
    print(json.dumps(found))
    if chosen.out:
        write_atomic(chosen.out, json.dumps(found, indent=2).encode())
    if found["documents_not_as_promised"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
