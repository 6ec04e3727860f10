"""Starts processes of a federation from one that has imported the heavy libraries already.

They are processes like any other, with their own session, log and death; only the ten seconds that importing torch,
Presidio and the like takes are paid once for the whole run of tests.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO

_HEAVY = ["torch", "transformers", "sentence_transformers", "faiss", "presidio_analyzer", "spacy", "server.node.serve"]


class Forked:
    """What of `subprocess.Popen` a federation uses."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        assert self._process.pid
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return self._process.exitcode

    def terminate(self) -> None:
        if self._process.is_alive():
            self._process.terminate()

    def kill(self) -> None:
        if self._process.is_alive():
            self._process.kill()


def launch(module: Sequence[str], log: IO[bytes], environment: Mapping[str, str]) -> Forked:
    """As `server.local_federation.launch`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_HEAVY)
    process = context.Process(target=_become, args=(list(module), log.name, dict(environment)), name=module[1])
    process.start()
    return Forked(process)


def _become(module: list[str], log: str, environment: dict[str, str]) -> None:
    os.setsid()
    with Path(log).open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = module
    runpy.run_module(module[0], run_name="__main__", alter_sys=True)
