"""A collector of OpenTelemetry: takes OTLP over HTTP, and keeps the spans."""

from __future__ import annotations

import gzip
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """``spans`` and ``requests`` that came to ``url``; it answers with ``status`` once it ``may_answer``."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.bodies: list[bytes] = []
        self.status = 200
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked = threading.Event()
        self.url = ""

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for of_resource in request.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]


def attributes(owner: Any) -> dict[str, Any]:
    """The attributes of a span, an event or a resource."""
    return {found.key: getattr(found.value, found.value.WhichOneof("value")) for found in owner.attributes}


@contextmanager
def collector() -> Iterator[Collector]:
    """Run a collector on a free port."""
    running = Collector()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            running.asked.set()
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            running.may_answer.wait()
            if running.status == 200:
                assert self.path == "/v1/traces"
                running.bodies.append(body)
                running.requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(running.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        running.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield running
        finally:
            running.may_answer.set()
            server.shutdown()
            thread.join()
