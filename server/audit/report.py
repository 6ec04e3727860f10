"""What an attack brings home: figures for each mode, with intervals, and whether a promise held."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from frag.protocols import Progress

Interval = tuple[float, float]
"""Lower and upper end, 95 % unless the figure's name says otherwise."""


class Verdict(StrEnum):
    """Whether what the product says held. `measured`: nothing is promised here."""

    HELD = "held"
    BROKEN = "broken"
    MEASURED = "measured"


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attack in one mode.

    `figures` are finite numbers by name; `intervals` belong to figures of the same name. `claim` is the promise that
    the verdict is about, in words, empty where there is none.
    """

    mode: str
    figures: dict[str, float]
    verdict: Verdict
    intervals: dict[str, Interval] = {}
    claim: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One attack in all its modes. `notes` say what the figures do not."""

    attack: str
    outcomes: list[Outcome]
    notes: list[str] = []

    @property
    def is_broken(self) -> bool:
        """Whether a promise was broken in any mode."""
        return any(outcome.verdict is Verdict.BROKEN for outcome in self.outcomes)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """Of a run.

    Args:
        quick: Fewer runs and stand-ins for slow models, seconds in all.
        data: Folder with texts of others (`xquad`, `clinc150`, …); None for the built-in ones.
        seed: Of everything that is drawn for the attack; mechanisms draw from the operating system.
        threads: CPU threads of models.
    """

    quick: bool = False
    data: Path | None = None
    seed: int = 0
    threads: int = 1


Attack = Callable[[AuditSettings, Progress], Report]
"""Blocking; called in a thread of its own loop, so it may use `asyncio.run`. `Progress` gets (done, total)."""


def verdict(*, held: bool) -> Verdict:
    """Of a promise."""
    return Verdict.HELD if held else Verdict.BROKEN
