"""Python, libraries, disk."""

import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from server.doctor.finding import Check, UnwellError

MIN_PYTHON = (3, 11)
MIN_LIBRARIES = {"torch": (2, 6), "transformers": (5, 0), "faiss-cpu": (1, 12), "aiohttp": (3, 12), "spacy": (3, 8)}
MIN_FREE_BYTES = 1_000_000_000


def machine_checks(folder: Path) -> list[Check]:
    """What every installation needs."""
    return [
        Check("python", python_version),
        Check("libraries", lambda: library_versions(MIN_LIBRARIES)),
        Check("disk space", lambda: disk_space(folder, MIN_FREE_BYTES)),
    ]


def python_version() -> str:
    """Raises UnwellError when it is too old."""
    if sys.version_info < MIN_PYTHON:
        raise UnwellError(f"Python is {platform.python_version()}.", "Install frag under Python 3.11 or newer.")
    return platform.python_version()


def library_versions(least: dict[str, tuple[int, int]]) -> str:
    """Raises UnwellError when one is missing or older than `least`."""
    found = []
    for name, wanted in least.items():
        try:
            installed = version(name)
        except PackageNotFoundError as error:
            raise UnwellError(f"{name} is not installed.", f"`pip install {name}` in frag's environment.") from error
        if tuple(int(part) for part in installed.split("+")[0].split(".")[:2]) < wanted:
            least_version = ".".join(map(str, wanted))
            raise UnwellError(f"{name} is {installed}.", f"`pip install '{name}>={least_version}'`.")
        found.append(f"{name} {installed}")
    return ", ".join(found)


def disk_space(folder: Path, min_free_bytes: int) -> str:
    """Raises UnwellError when less than `min_free_bytes` are free where `folder` lies."""
    place = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(place).free
    if free < min_free_bytes:
        raise UnwellError(
            f"{free / 1e9:.1f} GB are free on the disk of {folder}.",
            f"Free some space there; {min_free_bytes / 1e9:.0f} GB is the least to run with.",
        )
    return f"{free / 1e9:.0f} GB free"
