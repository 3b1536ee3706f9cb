"""``flowcore metrics``: the text for Prometheus, of one process and of several, and the page about it."""

import os
import signal
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from flowcore.cli.metrics import page
from flowcore.registry import available
from flowcore.telemetry.exposition import OPENMETRICS
from tests.support.live import until
from tests.support.phone import Phone
from tests.support.prometheus import metrics_text
from tests.support.service import Service

ROOT = Path(__file__).parents[2]
OURS = [entry.load() for name, entry in sorted(available().items()) if entry.module.startswith("nodes.")]


def test_the_page_in_docs_is_what_the_declarations_say_now():
    assert (ROOT / "docs" / "metrics.md").read_text() == page({cls.name: cls.metrics for cls in OURS}), "run  make docs"


def test_without_a_running_process_it_says_how_to_start_one(flowcore, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    outcome = flowcore("metrics")
    assert outcome.code == 2
    assert "start one with  flowcore run GRAPH" in outcome.err


def whole_call(url, name):
    phone = Phone(url, name)
    phone.start()
    phone.talk(7, 0.2)
    phone.stop()
    phone.hang_up()


def values(text):
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_calls_of_all_processes_are_counted_also_those_of_one_that_was_killed(flowcore, tmp_path, workers):
    with Service(tmp_path, workers=workers) as service:
        for number in range(4):
            whole_call(service.url, f"call{number}")
        service.heard("flow_closed", 4)
        found = values(flowcore("metrics", "--control", str(service.control), "--openmetrics").out)
        assert found["flowcore_calls_started_total",] == found["flowcore_calls_ended_total", "stop"] == 4
        assert found["flowcore_node_audio_in_seconds_total", "wav"] == pytest.approx(0.8)
        assert found["flowcore_workers", "answered"] == found["flowcore_ready_processes",] == workers
        assert found["flowcore_connections", "call"] == 0
        if workers > 1:
            os.kill(service.pids()[0], signal.SIGKILL)
            service.heard("worker_started", 3)

            def died():
                return values(metrics_text(service.control, OPENMETRICS))[
                    "flowcore_events_total", "worker_died", "error"
                ]

            until(lambda: died() == 1)  # scrapers share an answer for a while
            found = values(metrics_text(service.control, OPENMETRICS))
            assert found["flowcore_calls_started_total",] == found["flowcore_calls_ended_total", "stop"] == 4
        service.stop()
