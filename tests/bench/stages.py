"""The receiver of `flowcore.bench.server`, which also measures the time that stamped audio spends in each stage.

The probes of `Stages` note the time at which a stamped message (`flowcore.stamps`) passes: as a packet, as encoded
audio, and, known from then on by its flow and its place on the flow's clock, before the border. The sink behind that
border is timed itself. A graph of another shape has fewer stages.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from flowcore import stamps
from flowcore.audio import Audio, Packet
from flowcore.bench import server
from flowcore.engine.flow import Flow
from flowcore.graph.plan import Plan, PlanNode
from flowcore.node import Session, Sink

STAGES = ("socket to slot", "reorder", "chain", "border", "sink")

EDGE = 1.0
"""Seconds left out at both ends of the load, where hundreds of files are opened and closed at once."""

Place = tuple[str, int]
"""Identifies a chunk, also after it was resampled: its flow, and its end in milliseconds."""


class Stages:
    """The stages of one plan: run ``plan`` instead of it, and `attach` to each flow that opens."""

    def __init__(self, plan: Plan) -> None:
        self._notes: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        self._read: dict[bytes, float] = {}
        self._placed: dict[Place, tuple[float, float]] = {}
        self._queued: dict[Place, tuple[float, float]] = {}
        self._probes: list[tuple[str, Callable[[str, Any], None]]] = []
        self.plan = plan
        sink = next((one for one in plan.nodes.values() if one.border and issubclass(one.cls, Sink)), None)
        for name, one in plan.nodes.items():
            if one.chain == plan.listener.chain and one.gives:
                self._probe(one, name == sink.inputs[0][0] if sink else False)
        if sink is not None:
            timed = type(sink.cls.__name__, (_TimedSink, sink.cls), {"_stages": self})
            self.plan = plan.with_class(sink.name, timed)

    def _probe(self, node: PlanNode, before_border: bool) -> None:
        given = node.gives[0]
        if node.given is None and given.kind == "packets":
            self._probes.append((node.name, self._packet))
        elif node.given is not None and given.kind == "audio" and given.encoding == "mulaw":
            self._probes.append((node.name, self._encoded))
        if before_border:
            self._probes.append((node.name, self._queue))

    def attach(self, flow: Flow) -> None:
        """Probe a flow that opens."""
        for name, take in self._probes:
            flow.runs[name].add_probe(0, lambda chunk, take=take: take(flow.id, chunk))  # type: ignore[misc]

    def measured(self) -> dict[str, list[float]]:
        """Return the seconds by stage, sorted."""
        reads = [read for read, _ in self._notes[STAGES[0]]]
        first, last = min(reads, default=0.0) + EDGE, max(reads, default=0.0) - EDGE
        found = {stage: sorted(took for read, took in self._notes[stage] if first <= read <= last) for stage in STAGES}
        return {stage: seconds for stage, seconds in found.items() if seconds}

    def _packet(self, flow: str, packet: Packet) -> None:
        made = stamps.time_of(packet.data)
        if made is not None:
            self._notes["socket to slot"].append((packet.arrived, packet.arrived - made))
            self._read[packet.data[: stamps.LENGTH]] = packet.arrived

    def _encoded(self, flow: str, chunk: Audio) -> None:
        data = chunk.samples.tobytes()
        at = data.find(stamps.MARK)
        while at >= 0:
            read = self._read.pop(data[at : at + stamps.LENGTH], None)
            if read is not None:
                now = monotonic()
                self._notes["reorder"].append((read, now - read))
                self._placed[_place(flow, chunk)] = read, now
            at = data.find(stamps.MARK, at + 1)

    def _queue(self, flow: str, chunk: Audio) -> None:
        """Note a chunk as it enters the border, if it was noted as encoded audio."""
        place = _place(flow, chunk)
        if place in self._placed:
            read, placed = self._placed.pop(place)
            now = monotonic()
            self._notes["chain"].append((read, now - placed))
            self._queued[place] = read, now

    def written(self, flow: str, chunk: Audio, began: float) -> None:
        """Note a chunk that the sink has taken since ``began``."""
        place = _place(flow, chunk)
        if place in self._queued:
            read, queued = self._queued.pop(place)
            self._notes["border"].append((read, began - queued))
            self._notes["sink"].append((read, monotonic() - began))


class _TimedSink(Sink[Audio]):
    """Mixed in before the sink's own class."""

    _stages: Stages

    def open(self, session: Session) -> None:
        self._flow = session.flow
        super().open(session)

    def process(self, chunk: Audio) -> None:
        began = monotonic()
        super().process(chunk)  # type: ignore[safe-super]  # the sink's own class is next in the order
        self._stages.written(self._flow, chunk, began)


def _place(flow: str, chunk: Audio) -> Place:
    return flow, round(chunk.end * 1000 / chunk.rate)


if __name__ == "__main__":
    sys.exit(server.main(Stages))
