"""The metrics of an engine and of the run: each declared once, and read from counters that the engine has anyway.

`read` is for a thread beside the event loop. It takes no lock and changes nothing, so a call that ends meanwhile may be
missing for a moment: `flowcore.control.run_metrics` lets no counter go down.
"""

from __future__ import annotations

from flowcore import open_files
from flowcore.engine.bus import Bus
from flowcore.engine.engine import REFUSAL_ADVICE, Engine
from flowcore.engine.flow import DRAINING, OPENING, RUNNING
from flowcore.engine.losses import Losses
from flowcore.engine.stats import NodeStats, Reasons
from flowcore.engine.totals import Totals
from flowcore.events import ENGINE_REASONS
from flowcore.graph.plan import Plan
from flowcore.metrics import Histogram, Metric
from flowcore.telemetry.samples import Samples

STARTED = Metric("flowcore_calls_started_total", "counter", "Calls that were accepted.", ())
ENDED = Metric("flowcore_calls_ended_total", "counter", "Calls that ended, by the reason of their end.", ("reason",))
FAILED = Metric(
    "flowcore_calls_failed_total", "counter", "Ended calls in which a node failed, or whose worker died.", ()
)
REFUSED = Metric("flowcore_calls_refused_total", "counter", "Calls that were turned away, by reason.", ("reason",))
CALLS = Metric("flowcore_calls", "gauge", "Live calls, by state: opening, running or draining.", ("state",))
LIMIT = Metric("flowcore_call_limit", "gauge", "Live calls that the run takes at most (`--max-calls`).", ())
READY = Metric(
    "flowcore_ready_processes", "gauge", "Processes that would take a call now; 0: the run is not ready.", ()
)
DRAINS = Metric(
    "flowcore_draining", "gauge", "1 while the run takes no more calls and waits for the end of live ones.", ()
)
WORKERS = Metric(
    "flowcore_workers", "gauge", "Processes that take calls: those that answered this scrape, or silent.", ("state",)
)
LOST = Metric(
    "flowcore_audio_lost_seconds_total",
    "counter",
    "Audio that the peer sent, or should have sent, and that is missing from the result; each party's counted.",
    ("node", "reason"),
)
LOST_CHUNKS = Metric(
    "flowcore_chunks_lost_total", "counter", "Chunks lost in the same way; texts have no length.", ("node", "reason")
)
DROPPED = Metric(
    "flowcore_audio_dropped_seconds_total", "counter", "Audio that a node dropped, lost or not.", ("node", "reason")
)
DROPPED_CHUNKS = Metric(
    "flowcore_chunks_dropped_total",
    "counter",
    "Chunks or messages that a node dropped, lost or not.",
    ("node", "reason"),
)
FILLED = Metric(
    "flowcore_audio_filled_seconds_total", "counter", "Audio that a node filled in, lost or not.", ("node", "reason")
)
IN = Metric("flowcore_node_audio_in_seconds_total", "counter", "Audio that came to a node.")
OUT = Metric("flowcore_node_audio_out_seconds_total", "counter", "Audio that a node passed on.")
BUSY = Metric(
    "flowcore_node_busy_seconds_total", "counter", "Time spent in the node itself, estimated from samples.", ("node",)
)
QUEUE = Metric("flowcore_queue_seconds", "gauge", "Audio that waits now in the queues before a node.")
QUEUE_WAIT = Metric(
    "flowcore_queue_wait_seconds",
    "histogram",
    "Latency that the queue before a node added, of sampled chunks.",
)
SLOT = Metric(
    "flowcore_slot_busy_seconds",
    "histogram",
    "Work of the event loop in one slot; a slot has 0.02 s, and 0.04 s under load.",
    (),
)
OPEN_FILES = Metric("flowcore_open_files", "gauge", "Open files and connections of all processes that take calls.", ())
OPEN_FILES_LIMIT = Metric("flowcore_open_files_limit", "gauge", "How many they may have open.", ())
EVENTS = Metric(
    "flowcore_events_total",
    "counter",
    "Events of the log, merged ones too; a stall of the event loop is `loop_blocked`.",
    ("event", "level"),
)
BUILD = Metric("flowcore_build_info", "gauge", "1, with the version.", ("version",))

ENGINE_METRICS = (
    STARTED, ENDED, FAILED, REFUSED, CALLS, LIMIT, READY, DRAINS, WORKERS, LOST, LOST_CHUNKS, DROPPED, DROPPED_CHUNKS,
    FILLED, IN, OUT, BUSY, QUEUE, QUEUE_WAIT, SLOT, OPEN_FILES, OPEN_FILES_LIMIT, EVENTS, BUILD,
)  # fmt: skip
"""All metrics that every run has, in the order of the documentation."""

UNDECLARED = "undeclared"
"""Label value of events that no class declares: their names could be any number."""


def read(engine: Engine) -> Samples:
    """Return the present values of an engine's metrics. From any thread."""
    samples = totals_samples(engine.totals)  # first: calls that end meanwhile are not counted twice
    samples.add(event_samples(engine.bus))
    samples.add(_zeros(engine.plan))
    for flow in tuple(engine.flows.values()):
        samples.count(CALLS, 1, flow.state)
        _count_losses(samples, flow.losses())
        for name, stats in flow.stats().items():
            _count_node(samples, name, stats)
            if stats.depth:
                samples.count(QUEUE, stats.depth, name)
    samples.count(SLOT, engine.slots.durations)
    samples.count(READY, float(not engine.objection))
    room = open_files.room()
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
