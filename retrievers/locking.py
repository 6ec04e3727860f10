"""A lock that processes share: one ingest at a time in a collection."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from frag.errors import IndexStoreError, NotReadyError

_LOOK_S = 0.02


@contextmanager
def exclusive(path: Path, wait_s: float | None = None) -> Iterator[None]:
    """Waits until nobody else holds `path`; the system lets go of it however the holder ends.

    Raises:
        IndexStoreError: The file cannot be made.
        NotReadyError: It is held for longer than `wait_s` seconds; None waits until it is free.
    """
    try:
        file = path.open("wb")
    except OSError as error:
        raise IndexStoreError(
            f"{path} cannot be written: {error.strerror}.", "Check the folder and its permissions."
        ) from error
    with file:
        if wait_s is None:
            fcntl.flock(file, fcntl.LOCK_EX)
        else:
            _take_within(file.fileno(), wait_s)
        yield


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Waits until nobody holds `path` for itself; others may share it meanwhile.

    Raises:
        IndexStoreError: The file cannot be made.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = path.open("wb")
    except OSError as error:
        raise IndexStoreError(
            f"{path} cannot be written: {error.strerror}.", "Check the folder and its permissions."
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def _take_within(handle: int, wait_s: float) -> None:
    until = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise NotReadyError(
                    f"Another ingest has been running for {wait_s:g} s.", "Try again when it is done."
                ) from None
            time.sleep(_LOOK_S)  # flock has no deadline of its own; callers are in worker threads
        else:
            return
