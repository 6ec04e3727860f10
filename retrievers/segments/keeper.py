"""The thread that lets an index grow: seals and merges in the background while there is something to do.

There is none in a small collection. It is owned by the store: started after a change, ended with `close`.
"""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from frag.errors import FragError, NotReadyError
from retrievers.database import connect
from retrievers.segments.choosing import Pace, growth_of
from retrievers.segments.growth import Commit, Growth, growth_lock
from retrievers.segments.manifest import OWNER_FILE, SEGMENTS_FOLDER

_log = logging.getLogger(__name__)

_NICENESS = 5
"""Added to that of the process: searches go first, and on a busy machine the index still grows."""
_LOOK_S = 0.05


class Keeper:
    """One for a store.

    Args:
        path: The database.
        commit: See `growth.Commit`.
        pace: When it does something.
        at_server: Whether a server holds the vectors, which has no smallest number.
    """

    def __init__(self, path: Path, commit: Commit, pace: Pace, *, at_server: bool = False) -> None:
        self._path = path
        self._commit = commit
        self._pace = pace
        self._at_server = at_server
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._again = False
        self._growing = False
        self._doing = ""

    def nudge(self, num_fresh: int) -> None:
        """Looks in the background whether there is something to do; call it after each change."""
        has_segments = any((self._path.parent / name).exists() for name in (SEGMENTS_FOLDER, OWNER_FILE))
        if num_fresh < self._pace.seal_at and not has_segments and not (self._at_server and num_fresh):
            return
        with self._lock:
            self._again = True
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._run, name="frag-index-growth", daemon=True)
                self._thread.start()

    @property
    def is_busy(self) -> bool:
        """Whether something is sealed or merged now, or is about to be."""
        return self._growing or self._again

    @property
    def doing(self) -> str:
        """`sealing`, `merging`, or nothing."""
        return self._doing

    def wait(self, timeout_s: float) -> bool:
        """Returns True when nothing is under way any more, or False after `timeout_s` seconds."""
        until = time.monotonic() + timeout_s
        while self.is_busy and time.monotonic() < until:
            time.sleep(_LOOK_S)  # callers are in worker threads
        return not self.is_busy

    def close(self) -> None:
        """Ends the thread; what it was making is dropped at the next start, unless it is nearly done."""
        with self._lock:
            self._stopped.set()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        with suppress(OSError):  # only slower searches when it is refused
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(19, os.nice(0) + _NICENESS))
        try:
            while self._wants_more():
                self._try_to_grow()
        finally:
            with self._lock:
                if self._thread is threading.current_thread():  # something unforeseen has ended it
                    self._thread, self._growing = None, False

    def _try_to_grow(self) -> None:
        try:
            self._grow()
        except NotReadyError:
            pass  # another process is at it
        except (FragError, OSError, sqlite3.Error) as error:
            _log.warning("The index does not grow: %s: %s", type(error).__name__, error)

    def _wants_more(self) -> bool:
        with self._lock:
            if self._again and not self._stopped.is_set():
                self._again = False
                self._growing = True
                return True
            self._thread = None
            self._growing = False
            return False

    def _grow(self) -> None:
        with self._growth() as growth:
            while not self._stopped.is_set() and (
                self._do("sealing", growth.seal) or self._do("merging", growth.merge)
            ):
                pass
        self._growing = False
        until = time.monotonic() + self._pace.grace_s
        while not self._again and not self._stopped.is_set() and time.monotonic() < until:
            self._stopped.wait(_LOOK_S)
        if time.monotonic() >= until:
            with self._growth() as growth:
                growth.sweep()

    def _do(self, name: str, step: Callable[[], bool]) -> bool:
        self._doing = name
        try:
            return step()
        finally:
            self._doing = ""

    @contextmanager
    def _growth(self) -> Iterator[Growth]:
        folder = self._path.parent
        with growth_lock(folder, 0.0), closing(connect(self._path)) as connection:
            yield growth_of(connection, folder, self._commit, self._pace)
