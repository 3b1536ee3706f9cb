"""Calls behind the values of metrics, by the ids of their traces: exemplars, as OpenMetrics and Prometheus call them.

They are found in the counters that each flow has anyway, so a chunk costs nothing more, and in histograms of resources
that know the flow. There is one for each series and bucket: that of the call that was looked at last.
"""

from __future__ import annotations

from collections.abc import Iterator

from flowcore.engine.engine import Engine
from flowcore.engine.flow import Flow
from flowcore.metrics import Histogram, Metric, bucket_of
from flowcore.telemetry.declared import LOST, LOST_CHUNKS, QUEUE_WAIT
from flowcore.telemetry.samples import Exemplar, Samples


class Exemplars:
    """The exemplars of an engine whose calls are traced (`Engine.trace_of`); none where they are not."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ended = Samples()
        engine.on_closed.append(lambda flow: self._explain(self._ended, flow))

    def add_to(self, samples: Samples) -> None:
        """Add the exemplars of ended and of live calls. From any thread."""
        samples.exemplars.update(tuple(self._ended.exemplars.items()))
        for flow in tuple(self._engine.flows.values()):
            self._explain(samples, flow)
        for node, values in self._engine.measured():
            for metric, value in values.items():
                if isinstance(value, Histogram):
                    self._explain_durations(samples, metric, value, node)

    def _explain(self, samples: Samples, flow: Flow) -> None:
        if trace_id := self._engine.trace_of(flow.id):
            for metric, value, bucket, labels in _found(flow):
                samples.explain(metric, Exemplar(trace_id, value, bucket), *labels)

    def _explain_durations(self, samples: Samples, metric: Metric, durations: Histogram, node: str) -> None:
        for bucket, (flow, seconds) in tuple(durations.flows.items()):
            if trace_id := self._engine.trace_of(flow):
                samples.explain(metric, Exemplar(trace_id, seconds, bucket), node)


def _found(flow: Flow) -> Iterator[tuple[Metric, float, int, tuple[str, ...]]]:
    """Yield what a flow lost, and its longest wait before each node."""
    for node, reasons in flow.losses().items():
        for reason, tally in reasons.items():
            labels = node, reason.partition(":")[0]  # the rest may come from the peer
            yield LOST, tally.seconds, 0, labels
            yield LOST_CHUNKS, tally.chunks, 0, labels
    for node, border in tuple(flow.borders.items()):
        if border.longest:
            yield QUEUE_WAIT, border.longest, bucket_of(border.longest), (node,)
