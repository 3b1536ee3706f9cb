"""The metrics that every run has: each declared once, and documented by these texts (docs/metrics.md)."""

from __future__ import annotations

from flowcore.metrics import Metric

STARTED = Metric("flowcore_calls_started_total", "counter", "Calls that were accepted.", ())
ENDED = Metric("flowcore_calls_ended_total", "counter", "Calls that ended, by the reason of their end.", ("reason",))
FAILED = Metric(
    "flowcore_calls_failed_total", "counter", "Ended calls in which a node failed, or whose worker died.", ()
)
REFUSED = Metric("flowcore_calls_refused_total", "counter", "Calls that were turned away, by reason.", ("reason",))
CALLS = Metric("flowcore_calls", "gauge", "Live calls, by state: opening, running or draining.", ("state",))
LIMIT = Metric("flowcore_call_limit", "gauge", "Live calls that the run takes at most (`--max-calls`).", ())
UNTIL_FULL = Metric(
    "flowcore_calls_until_full",
    "gauge",
    "Calls that the run could still take, estimated from what its live calls use; the least of the room of a process.",
    (),
)
ROOM = Metric(
    "flowcore_room_calls",
    "gauge",
    "Calls that a resource has still room for: `event_loop`, `decoders`, `disk`, …; absent where nothing is known.",
    ("resource",),
)
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
    STARTED, ENDED, FAILED, REFUSED, CALLS, LIMIT, UNTIL_FULL, ROOM, READY, DRAINS, WORKERS, LOST, LOST_CHUNKS,
    DROPPED, DROPPED_CHUNKS, FILLED, IN, OUT, BUSY, QUEUE, QUEUE_WAIT, SLOT, OPEN_FILES, OPEN_FILES_LIMIT,
    EVENTS, BUILD,
)  # fmt: skip
"""All metrics that every run has, in the order of the documentation."""
