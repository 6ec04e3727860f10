"""Where a piece of work stands in a trace, in the form of W3C Trace Context."""

import re
import secrets
from dataclasses import dataclass
from typing import Self

_HEADER = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0([01])")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """`trace_id` has 32 hex digits and `span_id` 16. Only what is `sampled` is exported."""

    trace_id: str
    span_id: str
    sampled: bool

    @property
    def header(self) -> str:
        """The `traceparent` that work which follows from this one is told."""
        return f"00-{self.trace_id}-{self.span_id}-0{self.sampled:d}"

    @classmethod
    def parse(cls, header: str) -> Self | None:
        """None when `header` is no valid `traceparent` of version 00; strangers may send anything."""
        found = _HEADER.fullmatch(header)
        if found is None or not int(found[1], 16) or not int(found[2], 16):
            return None
        return cls(found[1], found[2], found[3] == "1")

    @classmethod
    def fresh(cls, parent: Self | None = None) -> Self:
        """Ids that only connect log lines: nothing is exported under them."""
        trace_id = parent.trace_id if parent else secrets.token_hex(16)
        return cls(trace_id, secrets.token_hex(8), sampled=False)
