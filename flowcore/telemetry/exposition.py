"""Metrics as text for Prometheus: its text format, or OpenMetrics for a scraper that accepts it.

The text is made in the process that asks, the admin API or `flowcore metrics`: it takes several milliseconds, which
calls need not share. The run answers with a message, which `answer` makes and `text_of` reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any, Final

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString

from flowcore.metrics import BOUNDS, Metric
from flowcore.telemetry.samples import Key, Samples

LE = (*map(floatToGoString, BOUNDS), "+Inf")
OPENMETRICS: Final = "application/openmetrics-text"
"""The media type that a scraper accepts in place of the text format; only OpenMetrics has exemplars."""


def answer(samples: Samples, metrics: Iterable[Metric]) -> msgspec.Raw:
    """Return the message of a run that is asked for ``metrics``, as JSON."""
    return msgspec.Raw(msgspec.json.encode({"samples": samples.to_message(), "metrics": list(metrics)}))


def text_of(answered: Mapping[str, Any], accept: str = "") -> tuple[bytes, str]:
    """Return the text that an `answer` stands for, and its content type."""
    metrics = msgspec.convert(answered["metrics"], tuple[Metric, ...])
    return render(Samples.from_message(answered["samples"]), metrics, accept)


def render(samples: Samples, metrics: Iterable[Metric], accept: str = "") -> tuple[bytes, str]:
    """Return the text of ``metrics`` and its content type. ``accept`` is the scraper's header of this name."""
    registry = CollectorRegistry()
    registry.register(_Values(samples, metrics))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Values(Collector):
    def __init__(self, samples: Samples, metrics: Iterable[Metric]) -> None:
        self._samples = samples
        self._metrics = tuple(metrics)
        self._keys: dict[str, list[Key]] = {}
        for key in sorted(samples):
            self._keys.setdefault(key[0], []).append(key)

    def collect(self) -> Iterator[Family]:
        for metric in self._metrics:
            yield self._family(metric)

    def _family(self, metric: Metric) -> Family:
        keys = self._keys.get(metric.name, ())
        if metric.kind == "histogram":
            histogram = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
            for key in keys:
                *counts, total = self._samples[key]
                buckets: list[Any] = [  # the library's types have no None, which it takes
                    (le, value, self._exemplar(key, bucket))
                    for bucket, (le, value) in enumerate(zip(LE, accumulate(counts), strict=True))
                ]
                histogram.add_metric(key[1:], buckets, total)
            return histogram
        if metric.kind == "counter":
            counter = CounterMetricFamily(metric.name, metric.meaning, labels=metric.labels)
            for key in keys:
                counter.add_metric(key[1:], self._samples[key][0], exemplar=self._exemplar(key))
            return counter
        gauge = GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)
        for key in keys:
            gauge.add_metric(key[1:], self._samples[key][0])
        return gauge

    def _exemplar(self, key: Key, bucket: int = 0) -> Exemplar | None:
        found = self._samples.exemplars.get((key, bucket))
        return None if found is None else Exemplar({"trace_id": found.trace_id}, found.value)
