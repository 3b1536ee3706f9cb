"""What a peer says of people stays in the call: no log line, metric or trace has its numbers, names or token."""

from __future__ import annotations

import json

import pytest

from flowcore.control import ask
from flowcore.telemetry.exposition import OPENMETRICS
from tests.support.collector import collector
from tests.support.phone import Phone
from tests.support.prometheus import metrics_text
from tests.support.service import Service

pytestmark = pytest.mark.slow

NUMBER = "+15550104711"
CALLED = "+15550104712"
TOKEN = "planted-token-4711"


@pytest.mark.parametrize("workers", [1, 2])
def test_no_number_and_no_token_is_in_the_log_the_metrics_or_the_traces(tmp_path, monkeypatch, workers):
    with collector() as traces:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", traces.url)
        monkeypatch.setenv("PLANTED_TOKEN", TOKEN)
        with Service(tmp_path, "--set", "call.secret=${PLANTED_TOKEN}", workers=workers) as service:
            phone = Phone(service.url, "one", headers=f"Authorization: Bearer {TOKEN}\r\n", ani=NUMBER, dnis=CALLED)
            phone.start()
            phone.talk(7, 0.2)
            phone.say(b'{"event": "media", "broken": "' + NUMBER.encode() + b'"}', NUMBER.encode())
            phone.stop()
            phone.hang_up()
            service.heard("flow_closed")
            text = metrics_text(service.control)
            shown = metrics_text(service.control, OPENMETRICS) + json.dumps(
                ask(service.control, {"ask": "capacity"})[0]
            )
            service.stop()
    assert 'flowcore_calls_ended_total{reason="stop"} 1.0' in text
    assert len(traces.spans) == 1
    assert "trace_id" in shown
    told = json.dumps(service.events) + text + shown + b"".join(traces.bodies).decode(errors="replace")
    for planted in (NUMBER, CALLED, TOKEN, NUMBER[1:], CALLED[1:]):
        assert planted not in told
