"""Stages of the question under way. Code marks them with `stage`; outside an observed question that costs nothing.

The place in the trace travels in a context variable, so that tasks which a stage starts are its children.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import structlog

from server.telemetry.trace_context import TraceContext
from server.telemetry.tracing import OpenSpan, Tracing, now_ns

OnStage = Callable[[str, float], None]
"""Called with (stage, seconds)."""

Attribute = str | int | float | bool


@dataclass(slots=True)
class Note:
    """What is said about a piece of work when it ends."""

    attributes: dict[str, Attribute] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Here:
    tracing: Tracing
    prefix: str
    on_stage: OnStage
    span: OpenSpan
    is_whole: bool
    """Not a stage of its own: its parts are counted, and parts of parts are not."""


_here: ContextVar[_Here | None] = ContextVar("_here", default=None)


@contextmanager
def observed(
    name: str, tracing: Tracing, on_stage: OnStage, parent: TraceContext | None, *, prefix: str
) -> Iterator[Note]:
    """One question at this process: the whole that stages are parts of.

    Log lines of this task carry its trace id from here on, also those about its end.
    """
    note, started = Note(), now_ns()
    span = tracing.start(name, parent, started)
    token = _here.set(_Here(tracing, prefix, on_stage, span, is_whole=True))
    structlog.contextvars.bind_contextvars(trace_id=span.context.trace_id)
    try:
        yield note
    finally:
        _here.reset(token)
        ended = now_ns()
        note.seconds = (ended - started) / 1e9
        span.end(ended, note.attributes)


@contextmanager
def stage(name: str) -> Iterator[Note]:
    """A part of the question under way, and its span."""
    note, here = Note(), _here.get()
    if here is None:
        yield note
        return
    started = now_ns()
    span = here.tracing.start(here.prefix + name, here.span.context, started)
    token = _here.set(_Here(here.tracing, here.prefix, here.on_stage, span, is_whole=False))
    try:
        yield note
    finally:
        _here.reset(token)
        _end(here, name, span, started, now_ns(), note)


def passed(**stages: float) -> None:
    """Stages that were measured elsewhere, in seconds, one after the other and the last just ended."""
    here = _here.get()
    if here is None:
        return
    started = now_ns() - round(sum(stages.values()) * 1e9)
    for name, seconds in stages.items():
        ended = started + round(seconds * 1e9)
        span = here.tracing.start(here.prefix + name, here.span.context, started)
        _end(here, name, span, started, ended, Note())
        started = ended


def _end(here: _Here, name: str, span: OpenSpan, start_ns: int, end_ns: int, note: Note) -> None:
    note.seconds = (end_ns - start_ns) / 1e9
    span.end(end_ns, note.attributes)
    if here.is_whole:
        here.on_stage(name, note.seconds)


_asker: ContextVar[TraceContext | None] = ContextVar("_asker", default=None)


@contextmanager
def asked_within(header: str) -> Iterator[None]:
    """Questions inside belong to the asker's own trace, if `header` is a valid `traceparent`."""
    token = _asker.set(TraceContext.parse(header))
    try:
        yield
    finally:
        _asker.reset(token)


def asker_context() -> TraceContext | None:
    """Where the asker stands in a trace of their own."""
    return _asker.get()


def traceparent() -> str:
    """What a node is told of the place in the trace; empty outside a question."""
    here = _here.get()
    return here.span.context.header if here else ""


@contextmanager
def unobserved() -> Iterator[None]:
    """No stage inside is measured."""
    token = _here.set(None)
    try:
        yield
    finally:
        _here.reset(token)
