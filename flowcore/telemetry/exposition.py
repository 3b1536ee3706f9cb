"""Metrics as text for Prometheus: its text format, or OpenMetrics for a scraper that accepts it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from flowcore.metrics import BOUNDS, Metric
from flowcore.telemetry.samples import Samples

LE = (*map(floatToGoString, BOUNDS), "+Inf")


def render(samples: Samples, metrics: Iterable[Metric], accept: str = "") -> tuple[bytes, str]:
    """Return the text of ``metrics`` and its content type. ``accept`` is the scraper's header of this name."""
    registry = CollectorRegistry()
    registry.register(_Values(samples, metrics))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Values(Collector):
    def __init__(self, samples: Samples, metrics: Iterable[Metric]) -> None:
        self._metrics = tuple(metrics)
        self._values: dict[str, list[tuple[tuple[str, ...], list[float]]]] = {}
        for (name, *labels), values in sorted(samples.items()):
            self._values.setdefault(name, []).append((tuple(labels), values))

    def collect(self) -> Iterator[Family]:
        for metric in self._metrics:
            yield _family(metric, self._values.get(metric.name, ()))


def _family(metric: Metric, values: Iterable[tuple[tuple[str, ...], list[float]]]) -> Family:
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
        for labels, (*counts, total) in values:
            histogram.add_metric(labels, list(zip(LE, accumulate(counts), strict=True)), total)
        return histogram
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family: CounterMetricFamily | GaugeMetricFamily = kind(metric.name, metric.meaning, labels=metric.labels)
    for labels, (value,) in values:
        family.add_metric(labels, value)
    return family
