"""The last step before anything leaves: is release stopped, and has it been written down?

Entries that wait together become durable together, so that the price of a disk is paid once for many answers.
"""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

from frag.errors import ReleaseStoppedError
from server.node.journal import Entry, Journal
from server.node.switch import ReleaseSwitch, Stopped

LOOK_S = 0.25
"""How often the switch is looked at. Every release looks at it, too; this is for what is already on its way."""
STOPPED = "release_stopped"
_T = TypeVar("_T")


class Gate:
    """Use as an async context manager. `stopped` never blocks and may be asked in the very last moment.

    Args:
        switch: Of the operator.
        journal: Where everything that leaves is written down first.
    """

    def __init__(self, switch: ReleaseSwitch, journal: Journal) -> None:
        self.switch = switch
        self.journal = journal
        self.stopped = switch.stopped() is not None
        self._waiting: list[tuple[Entry, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self._told: list[Callable[[], None]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")

    async def __aenter__(self) -> Self:
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [task for task in (self._following, self._writing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._thread.shutdown)

    async def record(self, entry: Entry) -> None:
        """Durable when it returns; only then may what it stands for leave, and only at once.

        Raises:
            ReleaseStoppedError: The operator has stopped release.
            NotReadyError: The journal cannot be written.
        """
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, done))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await done
        self.require_open()

    def record_now(self, entry: Entry) -> None:
        """The same, blocking, for a thread."""
        self._append([entry])

    def require_open(self) -> None:
        """Raises ReleaseStoppedError while release is stopped."""
        if self.stopped:
            raise _stopped_error()

    async def stop(self, reason: str = "") -> Stopped:
        """Durable when it returns, and nothing leaves any more, also of what is being made."""
        stopped = await asyncio.to_thread(self.switch.stop, reason)
        self._set(stopped=True)
        await asyncio.to_thread(self.journal.append, [Entry(kind="stopped")])
        return stopped

    async def resume(self) -> None:
        """Lets answers leave again."""
        await asyncio.to_thread(self.journal.append, [Entry(kind="resumed")])
        await asyncio.to_thread(self.switch.resume)
        await self.look()

    async def look(self) -> None:
        """Looks at the switch now."""
        is_set = await asyncio.to_thread(self.switch.stopped) is not None
        self._set(stopped=is_set)

    async def unless_stopped(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Carries out `work`, and gives it up in the middle when release is stopped. Raises ReleaseStoppedError."""
        stopped = asyncio.Event()
        self._told.append(stopped.set)
        task = asyncio.ensure_future(work)
        watching = asyncio.create_task(stopped.wait())
        try:
            if self.stopped:
                raise _stopped_error()
            await asyncio.wait({task, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise _stopped_error()
            return await task
        finally:
            self._told.remove(stopped.set)
            for one in (task, watching):
                one.cancel()
            await asyncio.gather(task, watching, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    def _set(self, *, stopped: bool) -> None:
        self.stopped = stopped
        if stopped:
            for tell in list(self._told):
                tell()

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            error: BaseException | None = None
            try:
                await loop.run_in_executor(self._thread, self._append, [entry for entry, _ in batch])
            except asyncio.CancelledError:
                for _, done in batch:
                    done.cancel()
                raise
            except Exception as failure:  # noqa: BLE001 - carried to those who wait, whatever it is
                error = failure
            for _, done in batch:
                if error is not None and not done.done():
                    done.set_exception(error)
                elif not done.done():
                    done.set_result(None)

    def _append(self, entries: list[Entry]) -> None:
        """Looks at the switch once more when the entries are durable, since that takes a while."""
        self._require_unset()
        self.journal.append(entries)
        self._require_unset()

    def _require_unset(self) -> None:
        if self.switch.stopped() is not None:
            raise _stopped_error()


def _stopped_error() -> ReleaseStoppedError:
    return ReleaseStoppedError("The node's operator has stopped release.", "Resume it: `frag node resume-release`.")
