"""The text for Prometheus, read by the parsers of its own library."""

import pytest
from prometheus_client import openmetrics, parser
from prometheus_client.openmetrics import parser as openmetrics_parser

from flowcore.metrics import BOUNDS, Histogram, Metric
from flowcore.telemetry.exposition import render
from flowcore.telemetry.samples import Samples

LOST = Metric("flowcore_audio_lost_seconds_total", "counter", "Lost audio.", ("node", "reason"))
CALLS = Metric("flowcore_calls", "gauge", "Live calls.", ())
WAIT = Metric("flowcore_wait_seconds", "histogram", "Wait.", ("node",))
PARSERS = {
    "": parser.text_string_to_metric_families,
    "application/openmetrics-text": openmetrics_parser.text_string_to_metric_families,
}


@pytest.fixture
def samples() -> Samples:
    found, waits = Samples(), Histogram()
    waits.observe(0.003)
    waits.observe(100)
    found.count(LOST, 0.25, "a", 'of "quotes"\n')
    found.count(CALLS, 3)
    found.count(WAIT, waits, "wav")
    return found


@pytest.mark.parametrize("accept", PARSERS)
def test_all_values_are_read_again(samples, accept):
    text, _ = render(samples, (LOST, CALLS, WAIT), accept)
    values = {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels, reverse=True))): sample.value
        for family in PARSERS[accept](text.decode())
        for sample in family.samples
    }
    assert values[LOST.name, 'of "quotes"\n', "a"] == 0.25
    assert values[CALLS.name,] == 3
    assert [values[WAIT.name + "_bucket", "wav", le] for le in ("0.002", "0.005", "60.0", "+Inf")] == [0, 1, 1, 2]
    assert values[WAIT.name + "_sum", "wav"] == pytest.approx(100.003)
    assert values[WAIT.name + "_count", "wav"] == 2
    assert sum(name == WAIT.name + "_bucket" for name, *_ in values) == len(BOUNDS) + 1


def test_the_content_type_is_what_the_scraper_accepts(samples):
    assert render(samples, (CALLS,))[1].startswith("text/plain; version=")
    text, kind = render(samples, (CALLS,), "application/openmetrics-text; version=1.0.0")
    assert kind.startswith(openmetrics.exposition.CONTENT_TYPE_LATEST.split(";")[0])
    assert text.endswith(b"# EOF\n")


def test_a_metric_without_values_is_described(samples):
    assert (
        b"# TYPE flowcore_queue_seconds gauge" in render(samples, [Metric("flowcore_queue_seconds", "gauge", "Q.")])[0]
    )
