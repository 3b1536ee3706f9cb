"""The metrics of an engine, read from counters that it has anyway.

`read` is for a thread beside the event loop. It takes no lock and changes nothing, so a call that ends meanwhile may be
missing for a moment: `flowcore.control.run_metrics` lets no counter go down.
"""

from __future__ import annotations

from typing import Final
from weakref import WeakKeyDictionary

from flowcore import open_files
from flowcore.engine.bus import Bus
from flowcore.engine.engine import REFUSAL_ADVICE, Engine
from flowcore.engine.flow import DRAINING, OPENING, RUNNING
from flowcore.engine.losses import Losses
from flowcore.engine.stats import NodeStats, Reasons
from flowcore.engine.totals import Totals
from flowcore.engine.version import Version
from flowcore.events import ENGINE_REASONS
from flowcore.graph.plan import Plan
from flowcore.metrics import Histogram, Metric
from flowcore.telemetry.declared import (
    BUSY,
    CALLS,
    DROPPED,
    DROPPED_CHUNKS,
    ENDED,
    EVENTS,
    FAILED,
    FILLED,
    IN,
    LOST,
    LOST_CHUNKS,
    OPEN_FILES,
    OPEN_FILES_LIMIT,
    OUT,
    QUEUE,
    QUEUE_WAIT,
    READY,
    REFUSED,
    SLOT,
    STARTED,
)
from flowcore.telemetry.samples import Samples

UNDECLARED = "undeclared"
"""Label value of events that no class declares: their names could be any number."""
_ZEROS: Final[WeakKeyDictionary[Version, Samples]] = WeakKeyDictionary()


def read(engine: Engine, files: open_files.Room | None = None) -> Samples:
    """Return the present values of an engine's metrics; ``files`` is the room for open files, if it was looked up.

    From any thread.
    """
    samples = totals_samples(engine.totals)  # first: calls that end meanwhile are not counted twice
    samples.add(event_samples(engine.bus))
    samples.add(_zeros_of(engine.version))
    nodes: dict[str, NodeStats] = {}
    lost = Losses()
    for flow in tuple(engine.flows.values()):
        samples.count(CALLS, 1, flow.state)
        lost.add(flow.losses())
        flow.add_to(nodes)
    _count_losses(samples, lost)
    for name, stats in nodes.items():
        _count_node(samples, name, stats)
        if stats.depth:
            samples.count(QUEUE, stats.depth, name)
    samples.count(SLOT, engine.slots.durations)
    samples.count(READY, float(not engine.objection))
    room = files or open_files.room()
    samples.count(OPEN_FILES, room.limit - room.free)
    samples.count(OPEN_FILES_LIMIT, room.limit)
    for name, values in engine.measured():
        for metric, value in values.items():
            samples.count(metric, value, name)
    return samples


def totals_samples(totals: Totals) -> Samples:
    """Return the counters of ended calls, and of what belongs to no call."""
    samples = Samples()
    samples.count(STARTED, totals.flows)
    samples.count(FAILED, totals.failed)
    for reason, count in tuple(totals.reasons.items()):
        samples.count(ENDED, count, reason)
    for reason, count in tuple(totals.refusals.items()):
        samples.count(REFUSED, count, reason)
    _count_losses(samples, totals.lost)
    for name, stats in tuple(totals.nodes.items()):
        _count_node(samples, name, stats)
    return samples


def event_samples(bus: Bus) -> Samples:
    """Return how often each event was delivered."""
    samples = Samples()
    declared = bus.declared.levels
    for name, level in declared.items():
        samples.count(EVENTS, 0, name, level)
    for (event, logged), count in tuple(bus.delivered.items()):
        samples.count(EVENTS, count, event if event in declared else UNDECLARED, logged)
    return samples


def _zeros_of(version: Version) -> Samples:
    """Return `_zeros` of the graph of a version, made once."""
    found = _ZEROS.get(version)
    if found is None:
        found = _ZEROS[version] = _zeros(version.plan)
    return found


def _zeros(plan: Plan) -> Samples:
    """Return 0 for what may be counted later: a series that begins above 0 has no increase for its first events."""
    samples = Samples()
    for state in (OPENING, RUNNING, DRAINING):
        samples.count(CALLS, 0, state)
    for refusal in REFUSAL_ADVICE:
        samples.count(REFUSED, 0, refusal)
    for node in plan.nodes.values():
        _count_node(samples, node.name, NodeStats())
        for reason in (*ENGINE_REASONS, *node.cls.reasons):
            if reason.lost:
                samples.count(LOST, 0, node.name, reason.name)
                samples.count(LOST_CHUNKS, 0, node.name, reason.name)
        if node.border:
            samples.count(QUEUE, 0, node.name)
            samples.count(QUEUE_WAIT, Histogram(), node.name)
    return samples


def _count_losses(samples: Samples, losses: Losses) -> None:
    for node, reasons in tuple(losses.items()):
        _count_reasons(samples, node, reasons, LOST, LOST_CHUNKS)


def _count_node(samples: Samples, name: str, stats: NodeStats) -> None:
    samples.count(IN, stats.arrived.seconds, name)
    samples.count(OUT, stats.left.seconds, name)
    samples.count(BUSY, stats.own, name)
    if stats.waits.count:
        samples.count(QUEUE_WAIT, stats.waits, name)
    _count_reasons(samples, name, stats.dropped, DROPPED, DROPPED_CHUNKS)
    _count_reasons(samples, name, stats.filled, FILLED)


def _count_reasons(
    samples: Samples, node: str, reasons: Reasons, seconds: Metric, chunks: Metric | None = None
) -> None:
    for reason, tally in tuple(reasons.items()):
        label = reason.partition(":")[0]  # its detail may come from the peer
        samples.count(seconds, tally.seconds, node, label)
        if chunks is not None:
            samples.count(chunks, tally.chunks, node, label)
