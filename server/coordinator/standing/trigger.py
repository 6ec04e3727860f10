"""When a standing job is due. Pure; the clock and what nodes declare come from outside."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from prompt_tuning.standing import StandingSettings

Cause = Literal["", "new_examples", "drift"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What a node says now: examples of the job's data set, and whether it sees drift."""

    num_examples: int
    sees_drift: bool = False


def met(seen: Mapping[str, int], declared: Mapping[str, Declared]) -> dict[str, int]:
    """What counts as met: where a data set shrank, what comes after counts as new.

    Args:
        seen: Examples of each node at the last run.
        declared: By the connected nodes.
    """
    return {
        node: min(number, declared[node].num_examples) if node in declared else number for node, number in seen.items()
    }


def num_new(seen: Mapping[str, int], declared: Mapping[str, Declared]) -> dict[str, int]:
    """Examples of each connected node that have come since the last run."""
    return {node: max(0, said.num_examples - seen.get(node, 0)) for node, said in declared.items()}


def due(
    settings: StandingSettings, seen: Mapping[str, int], declared: Mapping[str, Declared], resting_s: float
) -> Cause:
    """Why a run should start now; empty when it should not.

    Args:
        settings: Of the standing job.
        seen: Examples of each node at the last run.
        declared: By the connected nodes.
        resting_s: Since the last run ended; infinite before the first.
    """
    if resting_s < settings.cooldown_s:
        return ""
    if sum(number >= settings.min_new_examples for number in num_new(seen, declared).values()) >= settings.min_nodes:
        return "new_examples"
    drifting = sum(said.sees_drift for said in declared.values())
    return "drift" if settings.on_drift and drifting >= settings.min_nodes else ""
