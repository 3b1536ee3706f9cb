"""Calls behind the values of metrics, by the ids of their traces: exemplars, as OpenMetrics and Prometheus call them.

They are found in the counters that each flow has anyway, so a chunk costs nothing more, and in histograms of resources
that know the flow. There is one for each series and bucket: that of the call that was looked at last.
"""

from __future__ import annotations

from collections.abc import Mapping

from flowcore.engine.engine import Engine
from flowcore.engine.flow import Flow
from flowcore.engine.losses import Losses
from flowcore.metrics import Histogram, Metric, bucket_of
from flowcore.telemetry.declared import LOST, LOST_CHUNKS, QUEUE_WAIT
from flowcore.telemetry.samples import Exemplar, Key, Samples

Found = dict[tuple[Key, int], tuple[str, float]]
"""Flow and value for a key and a bucket."""


class Exemplars:
    """The exemplars of an engine whose calls are traced (`Engine.trace_of`); none where they are not."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ended: Found = {}
        engine.on_closed.append(lambda flow: self._look(self._ended, flow))

    def add_to(self, samples: Samples) -> None:
        """Add the exemplars of ended and of live calls, and of resources. From any thread."""
        found = dict(tuple(self._ended.items()))
        for flow in tuple(self._engine.flows.values()):
            self._look(found, flow)
        for node, values in self._engine.measured():
            _look_at_durations(found, node, values)
        for (key, bucket), (flow_id, value) in found.items():
            if trace_id := self._engine.trace_of(flow_id):
                samples.exemplars[key, bucket] = Exemplar(trace_id, value, bucket)

    def _look(self, found: Found, flow: Flow) -> None:
        """Note what a flow lost, and its longest wait before each node. A scrape does this for each live call."""
        if not self._engine.trace_of(flow.id):
            return
        for node, border in tuple(flow.borders.items()):
            if wait := border.longest:
                found[(QUEUE_WAIT.name, node), bucket_of(wait)] = flow.id, wait
        if losses := flow.losses():
            _look_at_losses(found, flow.id, losses)


def _look_at_losses(found: Found, flow: str, losses: Losses) -> None:
    for node, reasons in losses.items():
        for reason, tally in reasons.items():
            label = reason.partition(":")[0]  # the rest may come from the peer
            found[(LOST.name, node, label), 0] = flow, tally.seconds
            found[(LOST_CHUNKS.name, node, label), 0] = flow, tally.chunks


def _look_at_durations(found: Found, node: str, values: Mapping[Metric, float | Histogram]) -> None:
    for metric, value in values.items():
        if isinstance(value, Histogram):
            for bucket, measured in tuple(value.flows.items()):
                found[(metric.name, node), bucket] = measured
