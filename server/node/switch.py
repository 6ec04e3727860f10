"""The operator's switch: while it is set, nothing that speaks of documents leaves the node.

It is a file, so that it outlives the process and can be set while the process hangs or is away.
"""

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from frag.durable import sync_folder, write_private

MAX_REASON_CHARS = 500


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """Since when, as ISO 8601 in UTC, and why, in the operator's words."""

    since: str
    reason: str = ""


class ReleaseSwitch:
    """Blocking; any process may set it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def stopped(self) -> Stopped | None:
        """What was said when it was set; None while answers may leave. A damaged file stops release, too."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Stopped)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return Stopped(since="", reason=f"{self._file.name} cannot be read")

    def stop(self, reason: str = "") -> Stopped:
        """Durable when it returns. What was set already keeps its time and reason."""
        known = self.stopped()
        if known is not None:
            return known
        stopped = Stopped(since=datetime.now(UTC).isoformat(timespec="seconds"), reason=reason[:MAX_REASON_CHARS])
        write_private(self._file, msgspec.json.encode(stopped))
        return stopped

    def resume(self) -> None:
        """Lets answers leave again."""
        self._file.unlink(missing_ok=True)
        sync_folder(self._file.parent)
