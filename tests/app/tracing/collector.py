"""A collector of OTLP over HTTP: takes what a service sends, decodes it, and is asked for it by tests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Proto


class Span(NamedTuple):
    """Ids in hex, times in nanoseconds. ``error``: its status says so. ``events`` are names. ``told`` is all of it."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    begin: int
    end: int
    attributes: dict[str, Any]
    links: tuple[str, ...]
    events: tuple[str, ...]
    error: bool
    resource: dict[str, Any]
    told: str


class Collector:
    """``url`` is what OTEL_EXPORTER_OTLP_ENDPOINT takes."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.paths: set[str] = set()
        self._spans: list[Span] = []
        self._guard = threading.Lock()

    def take(self, path: str, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        found = [
            _span(span, _attributes(group.resource.attributes))
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]
        with self._guard:
            self.paths.add(path)
            self._spans += found

    def spans(self, name: str | None = None) -> list[Span]:
        """All so far, by their begin."""
        with self._guard:
            return sorted((span for span in self._spans if name in (None, span.name)), key=lambda span: span.begin)

    def tree(self) -> list[str]:
        """The names of all spans, each under its parent and indented by it."""
        return list(self._lines("", 0))

    def _lines(self, parent: str, depth: int) -> Iterator[str]:
        spans = self.spans()
        known = {span.id for span in spans}
        for span in spans:
            if span.parent == parent or (not parent and span.parent not in known):
                yield f"{'  ' * depth}{span.name}"
                yield from self._lines(span.id, depth + 1)


def _span(span: Proto, resource: dict[str, Any]) -> Span:
    return Span(
        span.name, Proto.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(), span.trace_id.hex(),
        span.span_id.hex(), span.parent_span_id.hex(), span.start_time_unix_nano, span.end_time_unix_nano,
        _attributes(span.attributes), tuple(link.span_id.hex() for link in span.links),
        tuple(event.name for event in span.events), span.status.code == 2, resource,
        str(span),
    )  # fmt: skip


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector = Collector(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
