"""An OTLP/HTTP collector in the test's own process, and a reader of Prometheus' text format."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client.parser import text_string_to_metric_families


@dataclass
class Collector:
    """Spans by the name of the service that sent them."""

    url: str = ""
    spans: list[tuple[str, Any]] = field(default_factory=list)

    def named(self, name: str) -> list[Any]:
        return [span for _service, span in self.spans if span.name == name]

    def raw(self) -> str:
        return "\n".join(str(span) for _service, span in self.spans)

    async def until(self, num_spans: int, within_s: float = 10.0) -> None:
        async with asyncio.timeout(within_s):
            while len(self.spans) < num_spans:
                await asyncio.sleep(0.05)

    async def receive(self, request: web.Request) -> web.Response:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            import gzip

            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans.extend((names["service.name"], span) for span in scope.spans)
        return web.Response()


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.receive)
    async with TestServer(app) as server:
        collector.url = str(server.make_url("")).rstrip("/")
        yield collector


def samples(text: bytes | str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Values by (sample name, label values in the order of their names)."""
    content = text.decode() if isinstance(text, bytes) else text
    return {
        (sample.name, tuple(value for _name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(content)
        for sample in family.samples
    }


def total(metrics: dict[tuple[str, tuple[str, ...]], float], name: str) -> float:
    return sum(value for (sample, _labels), value in metrics.items() if sample == name)


def seconds(span: Any) -> float:
    return (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
