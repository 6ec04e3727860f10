"""Runs attacks one after the other; what is done is kept, so that a run can be taken up where it stopped."""

import hashlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

import frag
from frag.durable import write_atomic
from frag.errors import BadRequestError
from server.audit.registry import ATTACKS
from server.audit.report import AuditSettings, Report

OnProgress = Callable[[str, int, int], None]
"""Called with (attack, done, total)."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A report with what it was made from."""

    settings: str
    seconds: float
    report: Report


def chosen(names: Iterable[str]) -> list[str]:
    """Attacks in the order of the registry; all of them when none is named. Raises BadRequestError for an unknown."""
    wanted = set(names)
    if unknown := sorted(wanted - ATTACKS.keys()):
        raise BadRequestError(f"There is no attack {', '.join(unknown)}.", f"Known: {', '.join(ATTACKS)}.")
    return [name for name in ATTACKS if not wanted or name in wanted]


def run(names: Iterable[str], settings: AuditSettings, out: Path, on_progress: OnProgress) -> list[Kept]:
    """Runs what `out` does not hold yet, with the same settings and version, and returns all reports. Blocking."""
    found = []
    for name in names:
        file, mark = out / f"{name}.json", _mark(settings)
        kept = _read(file)
        if kept is None or kept.settings != mark:
            started = time.perf_counter()
            report = ATTACKS[name](settings, lambda done, total, name=name: on_progress(name, done, total))  # type: ignore[misc]
            kept = Kept(settings=mark, seconds=round(time.perf_counter() - started, 1), report=report)
            write_atomic(file, msgspec.json.format(msgspec.json.encode(kept), indent=1))
        on_progress(name, 1, 1)
        found.append(kept)
    return found


def kept_in(out: Path, settings: AuditSettings) -> list[Kept]:
    """All reports that `out` holds of the same settings and version, in the order of the registry."""
    found = [_read(out / f"{name}.json") for name in ATTACKS]
    return [kept for kept in found if kept is not None and kept.settings == _mark(settings)]


def _mark(settings: AuditSettings) -> str:
    """Threads change no figure but by rounding."""
    data = "" if settings.data is None else hashlib.sha256(str(settings.data.resolve()).encode()).hexdigest()[:12]
    return f"{frag.__version__} quick={settings.quick} data={data} seed={settings.seed}"


def _read(file: Path) -> Kept | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Kept)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
