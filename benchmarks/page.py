"""Makes `docs/benchmarks.md` and its pictures from the files in `docs/results/`.

python -m benchmarks.page
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import plots
from benchmarks.kinds import KINDS

DOCS = Path(__file__).resolve().parent.parent / "docs"
RESULTS = DOCS / "results"
_HEAD = """# Benchmarks

This page is made by `python -m benchmarks.page` from the files in `docs/results/`, which `python -m benchmarks.record`
writes; a test checks that page and files agree. [How to measure](../benchmarks/README.md) says what the clocks include.

**Timings are from a shared machine of 2 cores without a GPU, with other work beside them: read them within a table, not
as what the software can do.** *Load* is how many processes wanted a core when a measurement began and when it ended,
itself among them; above 2, times are too long. Scores and shares are not touched by it. Nothing here is a promise; what
is promised is in [THREAT_MODEL.md](../THREAT_MODEL.md).
"""
Records = Mapping[str, dict[str, Any]]


def load() -> dict[str, dict[str, Any]]:
    """All records by name of their file, sorted."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))}


def of_kind(records: Records, kind: str) -> dict[str, dict[str, Any]]:
    return {name: record for name, record in records.items() if record["kind"] == kind}


def picture(kind: str) -> Path:
    return DOCS / "images" / f"bench-{kind.replace('_', '-')}.svg"


def digest(records: Records) -> str:
    """A hash of what the records found."""
    found = {name: record["result"] for name, record in records.items()}
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def page(records: Records) -> str:
    """The page, in Markdown."""
    parts = [_HEAD, _machines(records)]
    for kind, section in KINDS.items():
        mine = of_kind(records, kind)
        if not mine:
            continue
        results = {name: record["result"] for name, record in mine.items()}
        parts += [f"## {section.title}\n", f"{section.about}\n", section.show(results) + "\n"]
        if kind in plots.PICTURES:
            parts.append(f"![{plots.PICTURES[kind][0]}](images/{picture(kind).name})\n")
        parts.append("\n".join(_made_by(name, record) for name, record in mine.items()) + "\n")
    return "\n".join(parts).rstrip() + "\n"


def _machines(records: Records) -> str:
    told = {
        f"{m['cores']} cores of {m['cpu']}, {m['memory_gib']} GiB, {m['system']}; "
        + ", ".join(f"{name} {version}" for name, version in record["versions"].items())
        for record in records.values()
        for m in [record["machine"]]
    }
    return "\n".join(f"- {machine}" for machine in sorted(told)) + "\n"


def _made_by(name: str, record: dict[str, Any]) -> str:
    load = "load not noted" if record["load"] is None else "load {} to {}".format(*record["load"])
    note = f" {record['note']}" if record["note"] else ""
    return f"- [{name}](results/{name}.json): `{record['command']}`, {record['date']}, {load}.{note}"


def main() -> None:
    records = load()
    (DOCS / "benchmarks.md").write_text(page(records), encoding="utf-8")
    for kind in plots.PICTURES:
        if mine := of_kind(records, kind):
            results = {name: record["result"] for name, record in mine.items()}
            plots.draw(kind, results, picture(kind), digest(mine))


if __name__ == "__main__":
    main()
