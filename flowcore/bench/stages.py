"""Where the time between a sender and a sink goes: how long stamped audio is in each stage of a graph's first branch.

Taps, which are sinks of the first chain, note when a stamped message (`flowcore.stamps`) comes by: as a packet, as
encoded sound, and, known from then on by its flow and its place on the flow's clock, at the border. The sink behind
that border is timed itself. A graph of another shape has fewer stages.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from time import monotonic
from typing import Any

from flowcore import stamps
from flowcore.audio import Audio, Packet
from flowcore.formats import ANY_AUDIO, PACKETS
from flowcore.graph.plan import Plan, PlanNode
from flowcore.node import Config, Session, Sink, node

STAGES = ("socket to slot", "reorder", "chain", "border", "sink")

EDGE = 1.0
"""Seconds at both ends of the load that are left out: there hundreds of files are made and closed at once."""

_notes: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
"""By stage, of each chunk that was noted in any flow: when its stamped message was read, and how long it took."""

_read: dict[bytes, float] = {}
_placed: dict[tuple[str, int], tuple[float, float]] = {}
_queued: dict[tuple[str, int], tuple[float, float]] = {}


def measured() -> dict[str, list[float]]:
    """Seconds by stage, sorted."""
    reads = [read for read, _ in _notes[STAGES[0]]]
    first, last = min(reads, default=0.0) + EDGE, max(reads, default=0.0) - EDGE
    found = {stage: sorted(took for read, took in _notes[stage] if first <= read <= last) for stage in STAGES}
    return {stage: seconds for stage, seconds in found.items() if seconds}


def _place(flow: str, chunk: Audio) -> tuple[str, int]:
    """What a chunk is known by, also after it was resampled: its flow, and its end in milliseconds."""
    return flow, round(chunk.end * 1000 / chunk.rate)


class _Tap(Sink[Any]):
    caps = (PACKETS, ANY_AUDIO)

    def open(self, session: Session) -> None:
        self.flow = session.flow


@node("read")
class Read(_Tap):
    """Packets, right behind the listener and before anything has been done with them."""

    def process(self, packet: Packet) -> None:
        made = stamps.made(packet.data)
        if made is not None:
            _notes["socket to slot"].append((packet.arrived, packet.arrived - made))
            _read[packet.data[: stamps.LENGTH]] = packet.arrived


@node("ordered")
class Ordered(_Tap):
    """Encoded sound, in which stamps can still be read."""

    def process(self, chunk: Audio) -> None:
        data = chunk.samples.tobytes()
        at = data.find(stamps.MARK)
        while at >= 0:
            read = _read.pop(data[at : at + stamps.LENGTH], None)
            if read is not None:
                now = monotonic()
                _notes["reorder"].append((read, now - read))
                _placed[_place(self.flow, chunk)] = read, now
            at = data.find(stamps.MARK, at + 1)


@node("queued")
class Queued(_Tap):
    """Sound as it enters the border; what `Ordered` did not note is not noted here either."""

    def process(self, chunk: Audio) -> None:
        place = _place(self.flow, chunk)
        if place in _placed:
            read, placed = _placed.pop(place)
            now = monotonic()
            _notes["chain"].append((read, now - placed))
            _queued[place] = read, now


class _Timed(Sink[Audio]):
    """Mixed in before the sink's own class."""

    def open(self, session: Session) -> None:
        self._flow = session.flow
        super().open(session)

    def process(self, chunk: Audio) -> None:
        began = monotonic()
        super().process(chunk)  # type: ignore[safe-super]  # the sink's own, which comes next
        place = _place(self._flow, chunk)
        if place in _queued:
            read, queued = _queued.pop(place)
            _notes["border"].append((read, began - queued))
            _notes["sink"].append((read, monotonic() - began))


def with_stages(plan: Plan) -> Plan:
    """The same plan with taps in its first chain, and its first sink behind a border timed."""
    nodes: dict[str, PlanNode] = {}
    sink = next((one for one in plan.nodes.values() if one.border and issubclass(one.cls, Sink)), None)
    for name, one in plan.nodes.items():
        nodes[name] = one
        if one.chain != plan.listener.chain:
            continue
        if one is plan.listener and one.gives[0].kind == "packets":
            _add(nodes, one, Read)
        elif one.gives and one.gives[0].kind == "audio" and one.gives[0].encoding == "mulaw" and one.given is not None:
            _add(nodes, one, Ordered)
        if sink is not None and sink.inputs[0][0] == name:
            _add(nodes, one, Queued)
    if sink is not None:
        timed = type(sink.cls.__name__, (_Timed, sink.cls), {})
        nodes[sink.name] = replace(nodes[sink.name], cls=timed)
    return replace(plan, nodes=nodes)


def _add(nodes: dict[str, PlanNode], after: PlanNode, tap: type[_Tap]) -> None:
    """A tap that gets each chunk of ``after`` before the other nodes behind it do."""
    name = f"({tap.name})"
    inputs = ((after.name, 0),)
    nodes[name] = PlanNode(name, tap, Config(), inputs, after.gives[0], (), None, "fail_branch", after.chain)
