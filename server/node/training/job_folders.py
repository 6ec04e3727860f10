"""The folder of a job at its node: what is kept of a round, and what goes when others have begun."""

from pathlib import Path

import msgspec

from server.node.training.orders import Done

_KEPT_JOBS = 2


def stored(done_file: Path, update: Path) -> Done | None:
    """What a round ended in, if it was carried out before and its update is there."""
    if not (done_file.is_file() and update.is_file()):
        return None
    return msgspec.json.decode(done_file.read_bytes(), type=Done)


def forget_old_jobs(folder: Path, current: Path) -> None:
    """Deletes the large files of all but the newest jobs; a job that is resumed after that trains its round again."""
    jobs = sorted((path for path in folder.iterdir() if path.is_dir() and path != current), key=_modified)
    for job_folder in jobs[: -_KEPT_JOBS or None]:
        for pattern in ("weights-*", "update-*", "residual-*", "anchor", "examples.msgpack"):
            for path in job_folder.glob(pattern):
                path.unlink(missing_ok=True)


def _modified(path: Path) -> float:
    return path.stat().st_mtime


def sweep(job_folder: Path, keep: Path) -> None:
    """Old weights are not needed again; updates stay, since a round may be asked for once more."""
    for path in job_folder.glob("weights-*"):
        if path != keep:
            path.unlink(missing_ok=True)
