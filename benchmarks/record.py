"""Keeps measurements in `docs/results/`, from which `benchmarks.page` makes `docs/benchmarks.md`.

    python -m benchmarks.record rounds secagg        measures these now; without names it lists all that it knows
    python -m benchmarks.record NAME --kind train --file FILE --command "frag eval train …" [--note …]

The second form takes over JSON that the command wrote on this machine before. Figures and a job's main settings are
kept; texts are left out, curves too. The load is that of the whole machine, at the start and at the end.
"""

import argparse
import datetime as dt
import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.page import RESULTS

ROOT = Path(__file__).resolve().parent.parent
MEASUREMENTS = {
    "fanout-3": ("fanout", "frag bench fanout --nodes 3 --payload-bytes 8000"),
    "fanout-50": ("fanout", "frag bench fanout --nodes 50 --payload-bytes 8000"),
    "first-event": ("first_event", "python -m benchmarks.first_event"),
    "inference": ("inference", "frag bench inference"),
    "index": ("index", "frag bench index --vectors 200000 --questions 200 --contenders frag,flat"),
    "training-steps": ("steps", "frag bench train --methods prompt,deep,lora --places after"),
    "rounds": ("rounds", "frag bench rounds --nodes 1000"),
    "secagg": ("secagg", "frag bench secagg"),
    "sealed": ("sealed", "frag bench sealed"),
    "keywords": ("keywords", "frag bench keywords --trials 200"),
}
"""By name of the file: which part of the page shows it, and what measures it."""

_LEFT_OUT = {"notes", "settings_hash", "text", "curve", "claim", "units charged, all answers"}
_OF_A_JOB = {
    "method": ("kind", "place"),
    "local": ("steps", "batch_size", "learning_rate"),
    "rounds": ("number",),
    "strategy": ("kind", "learning_rate", "proximal_mu"),
    "update": ("encoding",),
}
_VERSIONS = ("frag", "torch", "numpy", "faiss-cpu", "aiohttp")


def machine() -> dict[str, Any]:
    """What timings depend on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"cores": os.cpu_count(), "cpu": _cpu(), "memory_gib": round(memory), "system": platform.system()}


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def versions() -> dict[str, str]:
    """Of what does the work."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in _VERSIONS}}


def figures(value: object) -> object:
    """Numbers, short names and lists of them; nothing that quotes. Raises ValueError at a long text."""
    if isinstance(value, dict):
        kept = {name: inner for name, inner in value.items() if name not in _LEFT_OUT}
        return {name: _job(inner) if name == "job" else figures(inner) for name, inner in kept.items()}
    if isinstance(value, list):
        return [figures(inner) for inner in value]
    if isinstance(value, str) and len(value) > 100:
        raise ValueError(f"a result holds a text of {len(value)} characters")
    return round(value, 5) if isinstance(value, float) else value


def _job(job: dict[str, Any]) -> dict[str, Any]:
    return {part: {name: job[part][name] for name in names if name in job[part]} for part, names in _OF_A_JOB.items()}


def keep(name: str, kind: str, command: str, result: object, **about: object) -> None:
    """Writes `docs/results/NAME.json`. `about` holds date, load and note."""
    record = {"kind": kind, "command": command, **about, "machine": machine(), "versions": versions()}
    RESULTS.mkdir(exist_ok=True)
    content = json.dumps({**record, "result": figures(result)}, ensure_ascii=False, indent=1)
    (RESULTS / f"{name}.json").write_text(content + "\n", encoding="utf-8")


def measure(name: str, note: str) -> None:
    """Runs one of MEASUREMENTS with `--json` and keeps what it prints."""
    kind, command = MEASUREMENTS[name]
    program, *words = shlex.split(command)
    start = ["-m", "server.cli"] if program == "frag" else []
    load = [round(os.getloadavg()[0], 1)]
    print(f"{command} …", file=sys.stderr)
    done = subprocess.run([sys.executable, *start, *words, "--json"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    load.append(round(os.getloadavg()[0], 1))
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    keep(name, kind, command, json.loads(done.stdout), date=today, load=load, note=note)


def take_over(name: str, kind: str, command: str, file: Path, note: str) -> None:
    """Keeps what `command` wrote into `file`; the date is the file's."""
    written = dt.datetime.fromtimestamp(file.stat().st_mtime, tz=dt.UTC).date().isoformat()
    result = json.loads(file.read_text(encoding="utf-8"))
    keep(name, kind, command, result, date=written, load=None, note=note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="what to measure, or the name for what --file holds")
    parser.add_argument("--file", type=Path, help="JSON that --command wrote")
    parser.add_argument("--kind", default="", help="with --file: the part of the page that shows it")
    parser.add_argument("--command", default="", help="with --file: what wrote it")
    parser.add_argument("--note", default="", help="what a reader has to know")
    given = parser.parse_args()
    if given.file:
        (name,) = given.names
        take_over(name, given.kind, given.command, given.file, given.note)
        return
    if unknown := [name for name in given.names if name not in MEASUREMENTS]:
        parser.error(f"not known: {', '.join(unknown)}")
    if not given.names:
        print("\n".join(f"{name:16} {command}" for name, (_, command) in MEASUREMENTS.items()))
    for name in given.names:
        measure(name, given.note)


if __name__ == "__main__":
    main()
