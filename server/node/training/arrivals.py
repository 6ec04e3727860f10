"""Which examples of a data set have come since the last run of a standing job. Ids only, in one file a job."""

import re
from collections.abc import Collection
from pathlib import Path

import msgspec

from frag.durable import write_private
from frag.errors import DatasetError

_RUN = re.compile(r"(?P<series>.+)-(?P<number>\d+)")


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


def heirs(seen: Collection[str], runs: Collection[str]) -> set[str]:
    """Later runs of a series one of whose runs is among `seen`: they start from what the earlier ones learnt."""
    first: dict[str, int] = {}
    for run in seen:
        if match := _RUN.fullmatch(run):
            first[match["series"]] = min(int(match["number"]), first.get(match["series"], 1 << 62))
    found = (_RUN.fullmatch(run) for run in runs)
    return {
        match[0]
        for match in found
        if match and match["series"] in first and int(match["number"]) > first[match["series"]]
    }
