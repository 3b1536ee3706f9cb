"""Traces for OpenTelemetry: one span a call, with the events of its nodes, sent over OTLP/HTTP from a thread.

The environment configures it with the variables of OpenTelemetry, such as ``OTEL_EXPORTER_OTLP_ENDPOINT``,
``OTEL_SERVICE_NAME`` and ``OTEL_TRACES_SAMPLER``. A span has numbers and declared reasons only: no texts of errors or
peers, no ids of calls, no addresses, no paths.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_BSP_MAX_QUEUE_SIZE
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import SpanKind, StatusCode

from flowcore.engine.bus import Bus, Event
from flowcore.errors import UsageError
from flowcore.events import SEPARATE_FIELDS
from flowcore.telemetry.trace_ids import TraceOf, trace_id, trace_text

PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SPAN: Final = "call"
"""Name of the span of a call."""
END_TIMEOUT: Final = 3.0
"""Seconds that the end of the process waits for a collector."""
MAX_WAITING: Final = 2048
"""Spans that wait for the collector at most, as OpenTelemetry's default says."""


@contextmanager
def traced(bus: Bus, graph: str) -> Iterator[TraceOf]:
    """Send a span for each call whose events come over ``bus``.

    Yields what returns the id of a flow's trace; nothing for a flow that the sampler leaves out. Raises `UsageError`
    for a protocol other than HTTP.
    """
    protocol = next((os.environ[name] for name in PROTOCOLS if os.environ.get(name)), "http/protobuf")
    if protocol != "http/protobuf":
        name = next(name for name in PROTOCOLS if os.environ.get(name))
        raise UsageError(f"traces go over HTTP: set {name}=http/protobuf, and the collector's port for it, often 4318")
    logger = logging.getLogger("opentelemetry")  # what it would log is reported as `spans_lost`
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    sending = _Sending(OTLPSpanExporter(), bus)
    ids = _FlowIds()
    about = {"service.name": os.environ.get("OTEL_SERVICE_NAME") or "flowcore", "service.version": version("flowcore")}
    provider = TracerProvider(
        resource=Resource.create({**about, "process.pid": os.getpid(), "flowcore.graph": graph}),
        id_generator=ids,
        shutdown_on_exit=False,
    )
    provider.add_span_processor(sending)
    calls = _Calls(provider, ids)
    bus.subscribe(calls.event)

    @lru_cache(maxsize=MAX_WAITING)
    def trace_of(flow: str) -> str:
        sampled = provider.sampler.should_sample(None, trace_id(flow), SPAN).decision.is_sampled()  # type: ignore[no-untyped-call]
        return trace_text(flow) if sampled else ""

    try:
        yield trace_of
    finally:
        calls.end()
        sending.end()


class _FlowIds(RandomIdGenerator):
    flow = ""

    def generate_trace_id(self) -> int:
        return trace_id(self.flow)


class _Calls:
    """The spans of live calls. Used in the thread that delivers events."""

    def __init__(self, provider: TracerProvider, ids: _FlowIds) -> None:
        self._tracer = provider.get_tracer("flowcore")
        self._ids = ids
        self._spans: dict[str, Any] = {}

    def event(self, event: Event) -> None:
        if not event.flow:
            return
        span = self._spans.get(event.flow) or self._begin(event.flow)
        if event.name == "flow_closed":
            self._close(span, event)
            self._spans.pop(event.flow).end()
        elif event.name != "flow_opened":
            span.add_event(event.name, attributes(event))

    def end(self) -> None:
        for span in self._spans.values():
            span.end()

    def _begin(self, flow: str) -> Any:
        """Begin a span; that of a worker that died begins here with its end."""
        self._ids.flow = flow
        span = self._spans[flow] = self._tracer.start_span(
            SPAN, Context(), kind=SpanKind.SERVER, attributes={"flowcore.flow": flow}
        )
        return span

    def _close(self, span: Any, event: Event) -> None:
        span.set_attributes(attributes(event))
        for node, reasons in event.data.get("lost", {}).items():
            for reason, tally in reasons.items():
                lost = Event("audio_lost", event.flow, node, {"reason": reason, **tally})
                span.add_event(lost.name, attributes(lost))
        if event.data.get("failed") or event.data["reason"] == "worker_died":
            span.set_status(StatusCode.ERROR)


def attributes(event: Event) -> dict[str, str | int | float]:
    """Return the attributes of an event: numbers, and fields whose values are few and declared by the code."""
    found: dict[str, str | int | float] = {"flowcore.node": event.node} if event.node else {}
    for name, value in event.data.items():
        if isinstance(value, int | float):
            found[f"flowcore.{name}"] = value
        elif name in SEPARATE_FIELDS and isinstance(value, str):
            found[f"flowcore.{name}"] = value.partition(":")[0]  # the detail of a reason may be the peer's
    if isinstance(cause := event.data.get("cause"), BaseException):
        found["error.type"] = type(cause).__name__
    return found


class _Sending(SpanProcessor, SpanExporter):
    """Queues ended spans for ``exporter``, and reports those that are lost. OpenTelemetry itself counts none."""

    def __init__(self, exporter: SpanExporter, bus: Bus) -> None:
        self._exporter = exporter
        self._bus = bus
        self._waiting = 0
        self._refused = 0
        self._ended = False
        self._lock = threading.Lock()
        self._room = int(os.environ.get(OTEL_BSP_MAX_QUEUE_SIZE) or MAX_WAITING)
        self._batches = BatchSpanProcessor(self)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None: ...

    def on_end(self, span: ReadableSpan) -> None:
        with self._lock:
            if self._waiting >= self._room:
                self._refused += 1
                return
            self._waiting += 1
        self._batches.on_end(span)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        with self._lock:
            if self._ended:  # `end` has given these spans up
                return result
            self._waiting -= len(spans)
            refused, self._refused = self._refused, 0
        if result is not SpanExportResult.SUCCESS:
            self._report("export_failed", len(spans))
        self._report("queue_full", refused)
        return result

    def end(self) -> None:
        """Send what waits, for ``END_TIMEOUT`` seconds at most: a collector that hangs takes longer for one request."""
        sending = threading.Thread(target=self._batches.shutdown, name="traces-end", daemon=True)
        sending.start()
        sending.join(END_TIMEOUT)
        with self._lock:
            self._ended = True
            waiting, refused = self._waiting, self._refused
        self._report("process_ended", waiting)
        self._report("queue_full", refused)
        self._bus.deliver()

    def shutdown(self) -> None:
        """Called by the batches, once they are sent."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._batches.force_flush(timeout_millis)

    def _report(self, reason: str, spans: int) -> None:
        if spans:
            self._bus.emit("spans_lost", reason=reason, spans=spans)
