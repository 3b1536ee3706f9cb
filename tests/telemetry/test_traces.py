"""One span a call with the events of its nodes, as a collector gets it; one that is away costs no call anything."""

import pytest

from flowcore.engine.bus import Bus
from flowcore.errors import UsageError
from flowcore.telemetry import traces
from flowcore.telemetry.trace_ids import trace_id, trace_text, traces_wanted
from flowcore.telemetry.traces import traced
from flowcore.testing import run_plan
from tests.engine.nodes import Keep, Tones, plan, step
from tests.support.collector import attributes, collector
from tests.support.phone import Phone
from tests.support.service import Service

PLAN = plan(
    step("call", Tones, sessions=2), step("wav", Keep, "call"), step("bad", Keep, "call", fail_at=10, key="bad")
)


@pytest.fixture
def gathering(monkeypatch):
    with collector() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        yield running


def run(**options):
    """Run two calls, in each of which one node fails."""
    Keep.kept.clear()
    bus = Bus()
    events = []
    bus.subscribe(events.append)
    with traced(bus, "test.yaml"):
        result = run_plan(PLAN, bus=bus, **options)
    return result, events


def test_each_call_is_a_span_with_its_end_its_losses_and_the_events_of_its_nodes(gathering):
    result, _ = run()
    spans = {attributes(span)["flowcore.flow"]: span for span in gathering.spans}
    assert spans.keys() == {flow.id for flow in result.flows}
    for flow, span in spans.items():
        assert (span.name, span.trace_id.hex()) == ("call", trace_text(flow))
        assert not span.parent_span_id
        found = attributes(span)
        assert (found["flowcore.reason"], found["flowcore.lost_ms"]) == ("done", 800)
        events = {event.name: attributes(event) for event in span.events}
        assert events["audio_lost"] == {
            "flowcore.node": "bad", "flowcore.reason": "node_failed", "flowcore.chunks": 40, "flowcore.ms": 800.0
        }  # fmt: skip
        assert events["node_failed"]["error.type"] == "RuntimeError"
        assert span.status.code == span.status.STATUS_CODE_ERROR


def test_the_process_is_named_as_the_environment_says(gathering, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "recorder")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    run()
    found = attributes(gathering.requests[0].resource_spans[0].resource)
    assert (found["service.name"], found["deployment.environment.name"]) == ("recorder", "test")
    assert found["flowcore.graph"] == "test.yaml"


def test_no_text_of_a_peer_or_of_an_error_is_sent(gathering):
    bus = Bus()
    with traced(bus, "test.yaml"):
        bus.emit("flow_opened", "f", call_id="planted")
        data = {"detail": "planted", "address": "planted", "path": "planted", "word": "planted", "track": "agent"}
        bus.emit("anything", "f", "node", cause=ValueError("planted"), reason="bad:planted", count=3, **data)
        bus.emit("flow_closed", "f", reason="stop", call_id="planted", files=["planted"], parties=["planted"])
        bus.deliver()
    (span,) = gathering.spans
    assert attributes(span.events[0]) == {
        "flowcore.node": "node", "flowcore.reason": "bad", "flowcore.count": 3, "flowcore.track": "agent",
        "error.type": "ValueError",
    }  # fmt: skip
    assert b"planted" not in b"".join(gathering.bodies)


def test_the_end_of_a_worker_that_died_is_a_span_that_failed(gathering):
    bus = Bus()
    with traced(bus, "test.yaml"):
        bus.emit("flow_closed", "f", call_id="x", reason="worker_died")
        bus.deliver()
    (span,) = gathering.spans
    assert span.status.code == span.status.STATUS_CODE_ERROR


def test_a_collector_that_refuses_loses_the_spans_and_they_are_counted(gathering):
    gathering.status = 400
    result, events = run()
    assert len(result.flows) == 2
    lost = [event.data for event in events if event.name == "spans_lost"]
    assert lost == [{"reason": "export_failed", "spans": 2}]


def test_the_end_does_not_wait_for_a_collector_that_hangs(gathering, monkeypatch):
    monkeypatch.setattr(traces, "END_TIMEOUT", 0.1)
    gathering.may_answer.clear()
    result, events = run()
    assert gathering.asked.is_set()
    lost = [event.data for event in events if event.name == "spans_lost"]
    assert lost == [{"reason": "process_ended", "spans": len(result.flows)}]
    assert not gathering.requests


def test_spans_beyond_the_queue_are_counted(gathering, monkeypatch):
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "1")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
    bus, events = Bus(), []
    bus.subscribe(events.append)
    with traced(bus, "test.yaml"):
        for number in range(50):
            bus.emit("flow_closed", str(number), reason="stop")
        bus.deliver()
    lost = sum(event.data["spans"] for event in events if event.name == "spans_lost")
    assert len(gathering.spans) + lost == 50


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"])
def test_another_protocol_is_refused_with_what_to_set(gathering, monkeypatch, name):
    monkeypatch.setenv(name, "grpc")
    with pytest.raises(UsageError, match=f"set {name}=http/protobuf"), traced(Bus(), "test.yaml"):
        pass


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_traces_need_a_collector_in_the_environment(monkeypatch, environment, wanted):
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert traces_wanted() == wanted


def test_ids_of_traces_follow_from_the_flow():
    assert trace_id("a") == trace_id("a") != trace_id("b")
    assert len(trace_text("a")) == 32


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_sends_the_traces_whose_ids_are_in_its_log(gathering, tmp_path, workers):
    with Service(tmp_path, workers=workers) as service:
        for number in range(2):
            phone = Phone(service.url, f"call{number}")
            phone.start()
            phone.talk(7, 0.2)
            phone.stop()
            phone.hang_up()
        closed = service.heard("flow_closed", 2)
        service.stop()
    assert {event["trace_id"] for event in closed} == {span.trace_id.hex() for span in gathering.spans}
    for span in gathering.spans:
        assert "file_finished" in {event.name for event in span.events}
