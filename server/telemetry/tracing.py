"""Spans to an OTLP/HTTP collector where one is configured, and to nobody otherwise.

Spans carry names, ids, codes and counts. Exceptions are never recorded: their text may quote a question.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import frag
from server.telemetry.trace_context import TraceContext

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

Attributes = Mapping[str, str | int | float | bool]
_CLOCK_NS = time.time_ns() - time.perf_counter_ns()
_EXPORT_S = 5


def now_ns() -> int:
    """Wall clock in ns that never runs backwards, so that spans and histograms agree to the nanosecond."""
    return _CLOCK_NS + time.perf_counter_ns()


class OpenSpan(Protocol):
    """Work under way."""

    @property
    def context(self) -> TraceContext: ...

    def end(self, end_ns: int, attributes: Attributes) -> None: ...


class Tracing(Protocol):
    """Starts spans. `parent` None begins a trace."""

    def start(self, name: str, parent: TraceContext | None, start_ns: int) -> OpenSpan: ...


class _Unseen:
    def __init__(self, context: TraceContext) -> None:
        self.context = context

    def end(self, end_ns: int, attributes: Attributes) -> None:
        """Nobody is told."""


class NoTracing:
    """Ids for log lines, and nothing else."""

    def start(self, _name: str, parent: TraceContext | None, _start_ns: int) -> OpenSpan:
        """A span that nobody sees."""
        return _Unseen(TraceContext.fresh(parent))


class _OtlpSpan:
    def __init__(self, span: "Span") -> None:
        self._span = span
        context = span.get_span_context()
        self.context = TraceContext(
            f"{context.trace_id:032x}", f"{context.span_id:016x}", sampled=context.trace_flags.sampled
        )

    def end(self, end_ns: int, attributes: Attributes) -> None:
        self._span.set_attributes(dict(attributes))
        self._span.end(end_time=end_ns)


class OtlpTracing:
    """Spans of one process, exported in the background by a thread of the SDK."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._tracer = provider.get_tracer("frag", frag.__version__)

    def start(self, name: str, parent: TraceContext | None, start_ns: int) -> OpenSpan:
        """A child of `parent`, which may lie in another process; exported if the parent is."""
        from opentelemetry.context import Context
        from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

        context = Context()
        if parent is not None:
            flags = TraceFlags(parent.sampled)
            remote = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags)
            context = set_span_in_context(NonRecordingSpan(remote), context)
        return _OtlpSpan(
            self._tracer.start_span(
                name, context, start_time=start_ns, record_exception=False, set_status_on_exception=False
            )
        )


@contextmanager
def open_tracing(endpoint: str, service: str, instance: str) -> Iterator[Tracing]:
    """Exports to `endpoint` + `/v1/traces`; without one, nothing. What is left is sent on leaving. Blocking at the end.

    Args:
        endpoint: Base address of the collector, or empty.
        service: `frag-coordinator` or `frag-node`.
        instance: Which one.
    """
    if not endpoint:
        yield NoTracing()
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    names = {"service.name": service, "service.instance.id": instance, "service.version": frag.__version__}
    provider = TracerProvider(resource=Resource.create(names), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
    try:
        yield OtlpTracing(provider)
    finally:
        provider.shutdown()
