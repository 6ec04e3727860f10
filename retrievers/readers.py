"""Connections that read one database, kept open between searches. Thread-safe."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from frag.errors import IndexStoreError
from retrievers.database import connect


class Readers:
    """As many connections as searches go on at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def one(self) -> Iterator[sqlite3.Connection]:
        """A connection for the time of the block. Raises IndexStoreError when closed."""
        connection = self._take()
        try:
            yield connection
        finally:
            self._give_back(connection)

    def check_open(self) -> None:
        """Raises IndexStoreError when closed."""
        if self._closed:
            raise IndexStoreError(f"The collection {self._path.parent} is closed.", "Open it again.")

    def close(self) -> None:
        """Closes what is idle now, and the others when they are given back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> sqlite3.Connection:
        with self._lock:
            self.check_open()
            if self._idle:
                return self._idle.pop()
        return connect(self._path, read_only=True)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()
