"""Histograms, and names of metrics after the conventions of Prometheus."""

import re

import pytest

from flowcore.metrics import BOUNDS, Histogram
from flowcore.registry import available
from flowcore.telemetry.declared import ENGINE_METRICS

NODES = [entry.load() for _, entry in sorted(available().items()) if entry.module.startswith("nodes.")]
METRICS = dict.fromkeys([*ENGINE_METRICS, *(metric for cls in NODES for metric in cls.metrics)])


def test_a_duration_is_counted_in_the_first_bucket_that_reaches_it():
    histogram = Histogram()
    for seconds in (0.0, 0.001, 0.0011, 60.0, 61.0):
        histogram.observe(seconds)
    assert histogram.counts == [2, 1, *[0] * (len(BOUNDS) - 3), 1, 1]
    assert (histogram.count, histogram.total) == (5, pytest.approx(121.0021))
    assert histogram.mean == pytest.approx(121.0021 / 5)


def test_histograms_add_up_and_one_without_durations_has_the_mean_0():
    both, other = Histogram(), Histogram()
    assert both.mean == 0
    both.observe(0.5)
    other.observe(1.5)
    both.add(other)
    assert (both.count, both.total) == (2, 2.0)
    assert other.count == 1


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_has_a_unit_a_meaning_and_total_only_as_a_counter(metric):
    assert re.fullmatch(r"flowcore(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert "seconds" in metric.name or not (metric.kind == "histogram" or "audio" in metric.name)
    assert metric.meaning.endswith(".")
    assert not set(metric.labels) & {"flow", "call", "call_id", "address", "track"}


def test_a_name_is_declared_once():
    names = [metric.name for metric in METRICS]
    assert sorted(set(names)) == sorted(names)
