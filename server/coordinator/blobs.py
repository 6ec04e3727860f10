"""Content-addressed files: what a round or a version holds is named by its SHA-256."""

import hashlib
from pathlib import Path

from frag.durable import write_private
from frag.errors import NotFoundError


class Blobs:
    """Durable when `put` returns. Blocking: callers run it in a worker thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, content: bytes) -> str:
        """Keeps `content` and returns its name, 64 hex digits."""
        name = hashlib.sha256(content).hexdigest()
        if not self.path(name).exists():
            write_private(self.path(name), content)
        return name

    def get(self, name: str) -> bytes:
        """Raises NotFoundError when it is missing or damaged."""
        try:
            content = self.path(name).read_bytes()
        except OSError as error:
            raise NotFoundError(f"There is no blob {name[:12]}.", "Restore the coordinator's folder.") from error
        if hashlib.sha256(content).hexdigest() != name:
            raise NotFoundError(f"The blob {name[:12]} is damaged.", "Restore the coordinator's folder.")
        return content

    def drop(self, name: str) -> None:
        """Forgets a blob; no error when there is none."""
        self.path(name).unlink(missing_ok=True)

    def path(self, name: str) -> Path:
        """Where a blob lies."""
        return self._folder / name
