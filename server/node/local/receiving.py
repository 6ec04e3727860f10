"""A document as it comes over HTTP: into a hidden file beside its place, which no reader of the folder looks at."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from aiohttp import StreamReader

from frag.errors import BadRequestError, DocumentError, PayloadTooLargeError
from retrievers.documents import DEFAULT_MAX_FILE_BYTES

PREFIX = ".frag-put-"
_BLOCK_BYTES = 1 << 18
_IDLE_S = 60.0


@asynccontextmanager
async def received(content: StreamReader, target: Path) -> AsyncIterator[Path]:
    """The whole body in a durable file on the disk of `target`; gone afterwards, unless it was renamed.

    Raises:
        DocumentError: The folder cannot be written.
        PayloadTooLargeError: The body is larger than files may be.
        BadRequestError: The sender has been silent for a minute.
    """
    file, path = await asyncio.to_thread(_open, target)
    try:
        with file:
            await _fill(file, content)
            await asyncio.to_thread(_sync, file)
        yield path
    finally:
        await asyncio.to_thread(path.unlink, missing_ok=True)


async def _fill(file: BinaryIO, content: StreamReader) -> None:
    num_bytes = 0
    while True:
        try:
            async with asyncio.timeout(_IDLE_S):
                block = await content.read(_BLOCK_BYTES)
        except TimeoutError as error:
            raise BadRequestError(f"Nothing came for {_IDLE_S:g} s.", "Send the document again.") from error
        if not block:
            return
        num_bytes += len(block)
        if num_bytes > DEFAULT_MAX_FILE_BYTES:
            raise PayloadTooLargeError(f"The document is over {DEFAULT_MAX_FILE_BYTES} bytes.", "Split it.")
        await asyncio.to_thread(file.write, block)


def _open(target: Path) -> tuple[BinaryIO, Path]:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=PREFIX, suffix=target.suffix)  # mode 0600
    except OSError as error:
        raise DocumentError(f"The folder cannot be written: {error.strerror}.", "Check its permissions.") from error
    return os.fdopen(handle, "w+b"), Path(name)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def sweep(folder: Path) -> None:
    """Deletes what a killed process left of documents that it was receiving. Blocking."""
    for path in folder.rglob(f"{PREFIX}*"):
        path.unlink(missing_ok=True)
