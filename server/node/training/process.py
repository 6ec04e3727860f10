"""The training process seen from the node: started when there is work, ended when it is cancelled or idle for long."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from frag.errors import FragError
from server.node.training.orders import Done, Failure, Order, PersonalOrder, Said, Step

_MAX_LINE_BYTES = 1 << 16
_IDLE_S = 120.0


class TrainerFailedError(FragError):
    """The training process ended, or could not do what was asked; then `code` is that of its own error."""

    code = "training_failed"


OnStep = Callable[[Step], None]


@dataclass(slots=True)
class TrainingProcess:
    """At most one process, with one order at a time. `log` is where its standard error goes."""

    model: str
    threads: int
    log: str
    _process: asyncio.subprocess.Process | None = None
    _idle: asyncio.Task[None] | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def carry_out(self, order: Order | PersonalOrder, on_step: OnStep) -> Done:
        """Cancelling the call ends the process: training stops at once.

        Raises:
            TrainerFailedError: It ended, or reported a failure.
        """
        async with self._turn:
            if self._idle is not None:
                self._idle.cancel()
            process = await self._running()
            try:
                done = await self._talk(process, order, on_step)
            except BaseException:
                await self._end()
                raise
            self._idle = asyncio.create_task(self._end_later())
            return done

    async def _end_later(self) -> None:
        """Model and prepared examples take gigabytes: they are given back when no round has come for long."""
        await asyncio.sleep(_IDLE_S)
        await self._end()

    async def _talk(self, process: asyncio.subprocess.Process, order: Order | PersonalOrder, on_step: OnStep) -> Done:
        if process.stdin is None or process.stdout is None:
            raise TrainerFailedError("no_pipe")
        try:
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            await process.stdin.drain()
            while line := await process.stdout.readline():
                said: Said = msgspec.json.decode(line, type=Said)
                if isinstance(said, Done):
                    return said
                if isinstance(said, Failure):
                    failure = TrainerFailedError(said.what)
                    failure.code = said.code
                    raise failure
                on_step(said)
        except (ConnectionError, ValueError) as error:
            raise TrainerFailedError("training_process_ended") from error
        raise TrainerFailedError("training_process_ended")

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            environment = {
                **os.environ,
                "HF_HUB_OFFLINE": "1",
                "TOKENIZERS_PARALLELISM": "false",
                "OMP_NUM_THREADS": str(self.threads),
            }
            log = await asyncio.to_thread(Path(self.log).open, "ab")
            with log:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "server.node.training.trainer",
                    self.model,
                    str(self.threads),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log,
                    env=environment,
                    limit=_MAX_LINE_BYTES,
                )
        return self._process

    async def stop(self) -> None:
        """Ends the process, if there is one."""
        if self._idle is not None:
            self._idle.cancel()
            await asyncio.gather(self._idle, return_exceptions=True)
        await self._end()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
