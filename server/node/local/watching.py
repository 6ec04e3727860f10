"""Follows the folder of a collection: what is added, changed or removed there is found within seconds.

A file is taken when it has stayed as it is for a moment, so that one that is being written is not read half. An error
is shown and tried again; it never ends the node.
"""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from frag.errors import FragError
from retrievers.store import IngestReport
from server.node.local.documents import Shelf
from server.node.training.forgetting import Forgotten

_log = structlog.get_logger()
SETTLED_S = 1.0
"""A file that has not changed for so long is taken to be finished. One that is renamed into place is whole anyway."""
_DEBOUNCE_MS = 200
_TICK_MS = 300
_FIRST_RETRY_S = 1.0
_MAX_RETRY_S = 60.0
_MAX_SHOWN = 100
OnForgotten = Callable[[Forgotten], None]


class WatchState(msgspec.Struct, kw_only=True):
    """What the operator is shown of one folder. `skipped` are codes by path, the newest hundred."""

    watching: bool = False
    pending: int = 0
    last_change_at: str = ""
    error: str = ""
    skipped: dict[str, str] = {}


@dataclass(slots=True)
class _Pending:
    """Since when (monotonic) a path has looked like `looks`."""

    looks: object
    since: float


@dataclass(slots=True, kw_only=True)
class FolderWatcher:
    """One collection. Work on its index runs in `thread`."""

    shelf: Shelf
    thread: Executor
    on_forgotten: OnForgotten = lambda _forgotten: None
    state: WatchState = field(default_factory=WatchState)
    _pending: dict[str, _Pending] = field(default_factory=dict)

    async def run(self) -> None:
        """Follows the folder until cancelled."""
        retry_s = _FIRST_RETRY_S
        while True:
            started = time.monotonic()
            try:
                await self._watch()
            except (FragError, OSError, RuntimeError, ExceptionGroup) as error:  # the last two: watchfiles, inside
                self.state.error = error.what if isinstance(error, FragError) else "the folder cannot be watched"
                _log.warning("folder_not_followed", collection=self.shelf.name, reason=type(error).__name__)
            finally:
                self.state.watching = False
            retry_s = _FIRST_RETRY_S if time.monotonic() - started > _MAX_RETRY_S else min(_MAX_RETRY_S, 2 * retry_s)
            await asyncio.sleep(retry_s)

    async def _watch(self) -> None:
        """The first look at the whole folder comes when changes are seen already, so that none is missed between."""
        from watchfiles import awatch

        identity = await asyncio.to_thread(_identity_of, self.shelf.folder)
        async for changes in awatch(
            self.shelf.folder.absolute(),
            watch_filter=None,
            debounce=_DEBOUNCE_MS,
            rust_timeout=_TICK_MS,
            yield_on_timeout=True,
            recursive=True,
        ):
            if await asyncio.to_thread(_identity_of, self.shelf.folder) != identity:
                raise FileNotFoundError  # what is watched is no longer what has this name
            if not self.state.watching:
                self._noted(await self._in_thread(self.shelf.whole))
                self.state.watching, self.state.error = True, ""
            for _, path in changes:
                self._note(path)
            if self._pending:
                await self._take_settled()

    def _note(self, path: str) -> None:
        name = Path(path).relative_to(self.shelf.folder.absolute()).as_posix()
        if name != "." and not any(part.startswith(".") for part in name.split("/")):
            self._pending.setdefault(name, _Pending(None, time.monotonic()))

    async def _take_settled(self) -> None:
        looks = await asyncio.to_thread(lambda: {name: looks_of(self.shelf.folder / name) for name in self._pending})
        now = time.monotonic()
        for name, seen in looks.items():
            if self._pending[name].looks != seen:
                self._pending[name] = _Pending(seen, now)
        settled = sorted(name for name, pending in self._pending.items() if now - pending.since >= SETTLED_S)
        self.state.pending = len(self._pending)
        if not settled:
            return
        self._noted(await self._in_thread(self.shelf.follow, settled))
        for name in settled:
            del self._pending[name]
        self.state.pending, self.state.error = len(self._pending), ""

    async def _in_thread(
        self, work: Callable[..., tuple[IngestReport, Forgotten]], *arguments: object
    ) -> tuple[IngestReport, Forgotten]:
        return await asyncio.get_running_loop().run_in_executor(self.thread, work, *arguments)

    def _noted(self, done: tuple[IngestReport, Forgotten]) -> None:
        report, forgotten = done
        if report.added or report.updated or report.removed:
            self.state.last_change_at = datetime.now(UTC).isoformat(timespec="seconds")
            _log.info(
                "folder_followed",
                collection=self.shelf.name,
                added=report.added,
                updated=report.updated,
                removed=report.removed,
                prompt_versions=forgotten.prompt_versions,
            )
        newest = {**self.state.skipped, **{item.path: item.code for item in report.skipped}}
        self.state.skipped = dict(list(newest.items())[-_MAX_SHOWN:])
        self.on_forgotten(forgotten)


def _identity_of(folder: Path) -> tuple[int, int]:
    """Raises FileNotFoundError."""
    found = folder.stat()
    return found.st_dev, found.st_ino


def looks_of(path: Path) -> object:
    """Size, time and identity of a file, or of all that is in a folder; None where there is nothing. Blocking."""
    try:
        found = path.lstat()
        if not path.is_dir() or path.is_symlink():
            return found.st_size, found.st_mtime_ns, found.st_ino
        return tuple(
            (entry.name, looks_of(Path(entry.path))) for entry in sorted(os.scandir(path), key=lambda entry: entry.name)
        )
    except OSError:
        return None
