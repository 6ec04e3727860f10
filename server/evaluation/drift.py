"""`frag eval drift`: whether a change of traffic is seen, and how often stationary traffic raises an alarm.

Questions are CLINC150's utterances, embedded by a real embedder. Some of those of the usual traffic are the documents:
how near the best of them is decides the answer's score, and whether the node abstains.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from frag.answers.calibration import answer_score
from frag.drift import Answered, DriftMonitor
from frag.drift.monitor import SIGNALS
from frag.durable import write_atomic
from frag.errors import BadRequestError
from frag.protocols import FloatArray
from frag.sampling import derive_seed
from server.tables import print_table

Embed = Callable[[Sequence[str]], FloatArray]
Tick = Callable[[str, int, int], None]
_MIN_EVIDENCE = 0.35
_NUM_DOCUMENTS = 500
_MEND = "Give CLINC150's data file with domains.json beside it."


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftPlan:
    """`utterances`: texts by domain and intent. Windows as in `frag.drift.DriftMonitor`."""

    utterances: dict[str, dict[str, list[str]]]
    window: int
    reference_windows: int
    num_windows: int
    trials: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Texts of the usual traffic, and of that which takes its place."""

    name: str
    usual: list[str]
    later: list[str]


def load_utterances(path: Path) -> dict[str, dict[str, list[str]]]:
    """All in-scope utterances of CLINC150 by domain and intent. Raises BadRequestError."""
    try:
        content = msgspec.json.decode(path.read_bytes())
        domains = msgspec.json.decode((path.parent / "domains.json").read_bytes())
        found: dict[str, dict[str, list[str]]] = {d: {i: [] for i in intents} for d, intents in domains.items()}
        place = {intent: domain for domain, intents in domains.items() for intent in intents}
        for part in ("train", "val", "test"):
            for text, intent in content[part]:
                found[place[intent]][intent].append(text)
    except (OSError, msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadRequestError(f"The data set {path} cannot be used: {error!r}.", _MEND) from error
    return found


def scenarios(plan: DriftPlan) -> list[Scenario]:
    """Half of the domains exchanged for the others; and in all domains half of the intents for the others."""
    domains = sorted(plan.utterances, key=lambda name: derive_seed(plan.seed, "domain", name))
    half = len(domains) // 2
    of_domain = {d: [t for texts in plan.utterances[d].values() for t in texts] for d in domains}
    before: list[str] = []
    after: list[str] = []
    for intents in plan.utterances.values():
        ranked = sorted(intents, key=lambda name: derive_seed(plan.seed, "intent", name))
        for number, intent in enumerate(ranked):
            (before if number < len(ranked) // 2 else after).extend(intents[intent])
    return [
        Scenario(
            name="domains exchanged",
            usual=[t for d in domains[:half] for t in of_domain[d]],
            later=[t for d in domains[half:] for t in of_domain[d]],
        ),
        Scenario(name="topics changed", usual=before, later=after),
    ]


def evaluate_drift(plan: DriftPlan, embed: Embed, tick: Tick) -> dict[str, Any]:
    """The report as JSON types."""
    found = {scenario.name: _run(plan, scenario, embed, tick) for scenario in scenarios(plan)}
    return {
        "window": plan.window,
        "reference_windows": plan.reference_windows,
        "seed": plan.seed,
        "scenarios": found,
        "all_detected_within_3": all(row["detected_within_3"] == plan.trials for row in found.values()),
        "max_false_triggers": max(row["false_triggers"] for row in found.values()),
    }


class _Traffic:
    """A scenario's questions with what the node's documents make of them."""

    def __init__(self, scenario: Scenario, embed: Embed, random: np.random.Generator) -> None:
        usual = [scenario.usual[index] for index in random.permutation(len(scenario.usual))]
        documents = embed(usual[:_NUM_DOCUMENTS])
        self.usual = self._answered(embed(usual[_NUM_DOCUMENTS:]), documents)
        self.later = self._answered(embed(scenario.later), documents)

    def _answered(self, vectors: FloatArray, documents: FloatArray) -> list[Answered]:
        best = (vectors @ documents.T).max(axis=1)
        scores = [answer_score(float(cosine), 0.0) if cosine >= _MIN_EVIDENCE else None for cosine in best]
        return [Answered(vector=vector, score=score) for vector, score in zip(vectors, scores, strict=True)]


def _run(plan: DriftPlan, scenario: Scenario, embed: Embed, tick: Tick) -> dict[str, Any]:
    random = np.random.default_rng([plan.seed, len(scenario.usual)])
    tick(f"{scenario.name}: embedding", 0, 1)
    traffic = _Traffic(scenario, embed, random)
    needed = plan.window * (plan.reference_windows + plan.num_windows)
    if len(traffic.usual) < needed:
        raise BadRequestError(
            f"{needed} questions are needed and {scenario.name} has {len(traffic.usual)}.", "Use fewer windows."
        )
    false = [alarms for alarms in _alarms(plan, traffic.usual[:needed]) if alarms]
    delays: list[int | None] = []
    seen_by = dict.fromkeys(SIGNALS, 0)
    for trial in range(plan.trials):
        tick(scenario.name, trial, plan.trials)
        after = list(_alarms(plan, _changing(plan, traffic, random)))
        delays.append(next((number for number, alarms in enumerate(after, start=1) if alarms), None))
        for name in {name for alarms in after for name in alarms}:
            seen_by[name] += 1
    return {
        "windows": plan.num_windows,
        "false_triggers": len(false),
        "false_by": {name: sum(name in alarms for alarms in false) for name in SIGNALS},
        "trials": plan.trials,
        "detected_within_3": sum(delay is not None and delay <= 3 for delay in delays),
        "delays": delays,
        "seen_by": seen_by,
    }


def _changing(plan: DriftPlan, traffic: _Traffic, random: np.random.Generator) -> list[Answered]:
    """A usual drawn anew, then three windows of the other traffic."""
    usual = random.choice(len(traffic.usual), plan.window * plan.reference_windows, replace=False)
    later = random.choice(len(traffic.later), plan.window * 3, replace=False)
    return [traffic.usual[index] for index in usual] + [traffic.later[index] for index in later]


def _alarms(plan: DriftPlan, stream: Sequence[Answered]) -> Iterator[tuple[str, ...]]:
    """The signals by which each window raises an alarm."""
    monitor = DriftMonitor(window=plan.window, reference_windows=plan.reference_windows)
    for answered in stream:
        if reading := monitor.add(answered):
            yield reading.alarms


def print_drift(report: dict[str, Any]) -> None:
    """One line a change."""
    console = Console()
    console.print(f"windows of {report['window']} questions, {report['reference_windows']} of them for what is usual")
    table = Table("change", box=None, header_style="bold")
    for title in ("seen within 3 windows", "mean delay", "each signal alone", "false triggers"):
        table.add_column(title, justify="right")
    for name, row in report["scenarios"].items():
        seen = [delay for delay in row["delays"] if delay is not None]
        table.add_row(
            name,
            f"{row['detected_within_3']} of {row['trials']}",
            f"{np.mean(seen):.2f}" if seen else "–",
            ", ".join(f"{signal} {number}" for signal, number in row["seen_by"].items()),
            f"{row['false_triggers']} of {row['windows']}",
        )
    print_table(table)


def write_drift(report: dict[str, Any], folder: Path) -> list[Path]:
    """Writes `drift.json` and returns its path."""
    path = folder / "drift.json"
    write_atomic(path, msgspec.json.format(msgspec.json.encode(report), indent=1))
    return [path]
