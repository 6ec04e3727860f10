"""Which examples of a data set have come since the last run of a standing job. Ids only, in one file a job."""

from collections.abc import Collection
from pathlib import Path

import msgspec

from frag.durable import write_private
from frag.errors import DatasetError


class Arrivals:
    """Notes in `folder` by which run each example was met first. Blocking."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def old(self, series: str, run: str, ids: Collection[str]) -> set[str]:
        """Those of `ids` that an earlier run has met; the others count as met by `run`, durably, when it returns.

        Asked again for the same run it says the same. What is no longer among `ids` is forgotten.

        Raises:
            DatasetError: The file is damaged.
        """
        path = self._folder / f"standing-{series}.json"
        met = self._read(path)
        now = {name: met.get(name, run) for name in ids}
        if now != met:
            write_private(path, msgspec.json.encode(now))
        return {name for name, first in now.items() if first != run}

    def _read(self, path: Path) -> dict[str, str]:
        try:
            return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DatasetError(
                f"What runs have met is damaged: {path}.", "Delete the file; then all examples are new once."
            ) from error


def heirs(seen: Collection[str], folder: Path) -> set[str]:
    """Later runs of a standing job one of whose runs is among `seen`: they go on from what that one learnt. Blocking.

    Args:
        seen: Names of jobs.
        folder: Of all jobs' folders.
    """
    series = {path.parent.name: _series_of(path) for path in folder.glob("*/job.json")}
    first: dict[str, int] = {}
    for run in seen:
        if name := series.get(run):
            first[name] = min(_number(run), first.get(name, _number(run)))
    return {run for run, name in series.items() if name in first and _number(run) > first[name]}


def _series_of(job_file: Path) -> str:
    """The standing job that a job is a run of; empty for none."""
    try:
        return str((msgspec.json.decode(job_file.read_bytes()).get("standing") or {}).get("series", ""))
    except (OSError, msgspec.DecodeError, AttributeError):
        return ""


def _number(run: str) -> int:
    last = run.rpartition("-")[2]
    return int(last) if last.isdecimal() else 0
