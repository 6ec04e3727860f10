"""What a check found, and the error of checks that have none of their own."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from frag.errors import FragError


class UnwellError(FragError):
    """Something about the installation needs mending."""

    code, http_status, exit_code = "unwell", 500, 1


class Check(NamedTuple):
    """`look` says what it found, or raises FragError."""

    name: str
    look: Callable[[], str]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """`mend` is empty where nothing is to be done."""

    name: str
    ok: bool
    what: str
    mend: str = ""


def examine(check: Check) -> Finding:
    """Runs one check. An error of the system counts as a finding, too."""
    try:
        return Finding(name=check.name, ok=True, what=check.look())
    except FragError as error:
        return Finding(name=check.name, ok=False, what=error.what, mend=error.mend or "See the message.")
    except OSError as error:
        place = f" {error.filename}" if error.filename else ""
        reason = error.strerror or type(error).__name__
        return Finding(name=check.name, ok=False, what=f"{reason}:{place}.", mend="Mend its owner or permissions.")
