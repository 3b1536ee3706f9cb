"""Row 90: a collector of traces that is away, hangs or refuses harms no call, and each lost span is counted."""

from contextlib import contextmanager

import numpy as np
import pytest

from tests.support.collector import collector
from tests.support.phone import Phone, said, stereo
from tests.support.ports import free_port
from tests.support.service import Service

pytestmark = pytest.mark.slow

CALLS = 5


@contextmanager
def away():
    yield f"http://127.0.0.1:{free_port()}"


@contextmanager
def hangs():
    with collector() as running:
        running.may_answer.clear()
        yield running.url


@contextmanager
def refuses():
    with collector() as running:
        running.status = 400
        yield running.url


@pytest.mark.fault(90)
@pytest.mark.parametrize("faulty", [away, hangs, refuses])
def test_no_call_is_harmed_the_process_ends_in_time_and_lost_spans_are_counted(tmp_path, monkeypatch, faulty):
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")  # ms: it is asked while calls run
    with faulty() as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        with Service(tmp_path, workers=1) as service:
            for number in range(CALLS):
                phone = Phone(service.url, f"call{number}")
                phone.start()
                phone.talk(number, 0.5)
                phone.stop()
                phone.hang_up()
                closed = service.heard("flow_closed", number + 1)
            assert service.stop() == 0  # within 3 s: telemetry/test_traces.py
    assert [(event["reason"], event["lost_ms"]) for event in closed] == [("stop", 0)] * CALLS
    assert not service.named("loop_blocked")
    assert sum(event["spans"] for event in service.named("spans_lost")) == CALLS
    for number in range(CALLS):
        assert np.array_equal(stereo(tmp_path / f"call{number}.wav"), said(number, 0.5))
