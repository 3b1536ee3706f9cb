"""The events and drop reasons of flowcore, each declared once; their names are public.

A node declares its own in its class, so that a log, docs/events.md and a test know them::

    events = (EventType("word_found", "A party said a word of the list.", word="The word."),)
    reasons = (LATE, Reason("too_loud", "Audio above ``max``.", lost=False))

A run takes an undeclared event as ``info``. `flowcore.testing.NodeHarness`, `flowcore.testing.run_plan`,
``flowcore test`` and ``python -X dev -m flowcore run`` refuse undeclared events, fields and reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Level = Literal["info", "warning", "error"]


FIELDS: Final = {
    "address": "The address, as seen through a proxy or tunnel.",
    "advice": "What would help.",
    "cause": "The error.",
    "detail": "What is wrong.",
    "path": "Path of the file.",
    "pid": "Process id of the worker.",
    "reason": "Why.",
    "seconds": "Length in seconds.",
    "stack": "The last calls of the thread.",
    "times": "How many events are merged in this one.",
    "track": "The track; empty for the whole call.",
    "worker": "Number of the worker.",
}
"""Fields of many events. A declaration may leave their meaning empty: ``EventType("x", "…", path="")``."""


class EventType:
    """An event that a node may emit: its name, its meaning in one sentence, its level, and its fields."""

    def __init__(self, name: str, meaning: str, level: Level = "info", /, **fields: str) -> None:
        self.name = name
        self.meaning = meaning
        self.level = level
        self.fields: Mapping[str, str] = {field: text or FIELDS[field] for field, text in fields.items()}


SEPARATE_FIELDS: Final = ("reason", "track")
"""Fields of throttled events by which they are not merged. Their values must be few, and not the peer's own words."""


class ThrottledEventType(EventType):
    """An event that peers can cause at any rate: one a second is delivered for each node, flow, and `SEPARATE_FIELDS`.

    It has the data of the latest, and a field ``times`` with their number. With ``--workers`` each process counts its
    own.
    """

    def __init__(self, name: str, meaning: str, level: Level = "info", /, **fields: str) -> None:
        super().__init__(name, meaning, level, **fields, times="")


@dataclass(frozen=True)
class Reason:
    """A reason to drop or fill in audio. It may be counted with a detail: ``bad_message:not_json``.

    ``lost`` says that audio counted under it is lost: the peer sent it, or should have, and the result lacks it. Each
    loss counts once, where it is noticed. Repeats, what is left out on purpose, and silence where nothing was said are
    no losses.
    """

    name: str
    meaning: str
    lost: bool = True


ENGINE_EVENTS: Final = (
    EventType(
        "flow_opened", "A flow has started: a listener accepted a session.", call_id="The attribute of the session."
    ),
    EventType(
        "flow_closed",
        "A flow has ended; a warning if it lost audio or a node failed.",
        reason="Why: ``stop``, ``peer_lost``, ``operator``, ``stopping``, ``node_failed``, ``drain_deadline``, …; "
        "``worker_died``, without figures.",
        seconds="Length of the flow.",
        failed="Names of the nodes that failed.",
        call_id="The attribute of the session.",
        version="Number and checksum of its version of the graph.",
        parties="Tracks on which audio came.",
        lost_ms="Length of all audio that was lost, each party's counted.",
        lost="The same by node and reason, in chunks and ms; texts have no length.",
        lost_between="The first and the last second of the call that is missing, by node and reason, if known.",
        dropped="What was dropped, lost or not, in the same form.",
        filled="Audio that was filled in, in the same form.",
        changed="Live fields that an operator changed: second of the call, and each node.field; no value.",
        silenced="Stretches that an operator paused or muted: party (empty for all), first and last second.",
        holds="Pauses that ended.",
        hold_seconds="Their length.",
        files="Paths of the finished files, the last ten at most.",
        delay_ms="The longest time that a chunk waited in a queue.",
    ),
    EventType(
        "call_silenced",
        "An operator paused, resumed, muted or unmuted a call, or a further flow of such a call began.",
        "warning",
        paused="Whether the whole call is silent.",
        muted="The parties that are silent.",
    ),
    EventType(
        "fields_changed",
        "An operator changed live fields of running flows; the names only, because values may be private.",
        fields="Each node.field.",
        flows="How many flows took it.",
        new_flows="Whether new flows get it too.",
    ),
    EventType("flow_unbalanced", "The counters of a flow do not add up: a node lost audio.", "error", detail="Where."),
    EventType("node_failed", "A node raised, and was cut out of its flow.", "error", cause="", policy="``on_error``."),
    EventType(
        "node_hung", "A node missed the drain deadline of its flow.", "error", queued_ms="Audio in its queue.", stack=""
    ),
    ThrottledEventType(
        "session_refused",
        "Sessions were not let in; at most one event a second for each reason.",
        "warning",
        reason="``busy``, ``stopping`` or ``open_files``.",
        address="The latest one's address.",
        advice="",
    ),
    EventType(
        "open_files_limited",
        "The limit of open files is too low for all calls that may come; when it is near, new ones are refused.",
        "warning",
        limit="Files and connections that the process may have open.",
        calls="Calls at once for which that is enough.",
        advice="",
    ),
    EventType("listener_opened", "A listener takes sessions.", address="", what="The protocol."),
    EventType("page_opened", "A web page can be looked at.", address="", what="The page."),
    EventType("resource_failed", "A resource raised, or did not close.", "error", cause=""),
    EventType("recovery_failed", "A node could not look for files of an earlier run.", "error", cause=""),
    EventType(
        "graph_reloaded",
        "New sessions get another version of the graph; running flows keep theirs.",
        graph="Path of the graph.",
        version="Number and checksum.",
    ),
    EventType(
        "files_reloaded",
        "A reload: the listener read its files (certificates) again, for new sessions.",
        files="Paths of these files.",
    ),
    EventType(
        "reload_failed",
        "A file of the graph or of the listener is wrong, or needs a restart. Nothing was changed.",
        "error",
        cause="",
        problems="Problems of the graph, as ``flowcore check`` shows them.",
    ),
    EventType("loop_blocked", "A node has blocked the event loop; all calls wait.", "error", seconds="", stack=""),
    EventType("thread_stuck", "A node has blocked its thread; its flow waits.", "warning", seconds="", stack=""),
    EventType("events_lost", "The bus was full, and dropped events.", "warning", events="How many."),
    EventType("messages_lost", "A worker sent too many messages in a slot.", "warning", messages="How many were lost."),
    EventType("control_opened", "``flowcore calls``, ``tap`` and ``monitor`` can connect.", path="The socket."),
    EventType(
        "control_failed",
        "The control socket could not be made; calls are taken.",
        "warning",
        cause="",
        detail="What is not possible without it.",
    ),
    EventType("admin_opened", "The admin API answers requests.", address=""),
    EventType(
        "admin_died",
        "The process of the admin API ended; another takes its place.",
        "error",
        how="Signal or exit code.",
    ),
    EventType("admin_failed", "The admin API has an error; calls go on.", "error", detail=""),
    EventType(
        "admin_command",
        "An operator gave a command through the admin API, or listens to a call.",
        operation="``end``, ``pause``, ``resume``, ``mute``, ``unmute``, ``listen``, ``drain``, ``reload`` or ``set``.",
        status="HTTP status of the answer.",
        changed="Whether something changed.",
        party="The party, of ``mute`` and ``unmute``.",
        token="Name of the token: ``admin``.",  # noqa: S106  # its meaning
        address="The client's address, or that of the proxy in front.",
    ),
    EventType(
        "admin_rejected",
        "Clients of the admin API were turned away; at most one event a second for each reason.",
        "warning",
        reason="``no_token``, ``wrong_token``, ``read_token``, ``token_unset``, ``foreign_site``, ``foreign_page``, "
        "``listen_token``, ``no_trusted_proxy``, ``too_many_commands``, ``too_many_readers`` or ``slow_reader``.",
        address="The latest one's address.",
        advice="",
        times="",
    ),
    EventType(
        "finish_requested",
        "The process was asked to end: it takes no new sessions, and ends with its last flow.",
        "warning",
        calls="Running flows, in a single process.",
        workers="Running workers.",
        seconds="Time after which it ends the flows that still run.",
    ),
    EventType(
        "stop_requested",
        "The process was asked to stop, and ends its flows.",
        "warning",
        calls="Running flows, in a single process.",
        workers="Running workers.",
    ),
    EventType(
        "takeover_requested", "Another process is to take the port over, once it is ready.", pid="The other process."
    ),
    EventType(
        "takeover_given_up",
        "The process that was to take the port over ended before it was ready; nothing has changed.",
        "warning",
        pid="The other process.",
    ),
    EventType(
        "handed_over",
        "Another process accepts connections from now on; this one ends with its last flow.",
        pid="The other process.",
        seconds="Time after which it ends the flows that still run.",
    ),
    EventType(
        "taken_over",
        "This process accepts connections in place of another one, which ends with its last flow.",
        pid="The other process.",
    ),
    EventType(
        "predecessor_ended", "The process from which this one took the port over has ended.", pid="The other process."
    ),
    EventType("worker_started", "A worker takes calls.", worker="", pid=""),
    EventType(
        "worker_died",
        "A worker ended by itself; another takes its place.",
        "error",
        worker="",
        pid="",
        how="Signal or exit code.",
        calls="Flows lost with it.",
    ),
    EventType(
        "audio_dropped",
        "What a node dropped for one reason, at the end of a call or, outside of calls, of the process; a warning if "
        "it was lost.",
        call_id="The attribute of the session.",
        reason="",
        chunks="Chunks.",
        ms="Length in ms.",
    ),
    EventType(
        "call_log_opened", "Ended calls are written to a database.", database="Its path, or URL without secrets."
    ),
    EventType(
        "call_log_failed",
        "The call log cannot be written. Calls go on, and their rows wait, to be written later.",
        "warning",
        cause="",
        detail="Where the rows wait.",
    ),
    EventType("call_log_restored", "The call log is written again.", detail="Where the rows waited."),
    EventType(
        "call_log_rows_lost",
        "The journal of the call log could not be written for too long, and its queue is full.",
        "error",
        rows="How many were lost.",
    ),
    EventType(
        "spans_lost",
        "Traces did not reach the collector. Calls go on.",
        "warning",
        reason="``export_failed``, ``queue_full`` or ``process_ended``.",
        spans="How many calls have no trace.",
    ),
    EventType("log_lines_lost", "Standard error did not take log lines in time.", "warning", lines="How many."),
)
"""Events that flowcore emits for any graph."""

FILE_FINISHED: Final = EventType("file_finished", "A file is complete under its final name.", path="")
HOLD_ENDED: Final = EventType(
    "hold_ended",
    "A pause of a track, or of the whole call, is over.",
    track="",
    start="Second of the call at which it began.",
    seconds="",
)
FILE_REPAIRED: Final = EventType(
    "file_repaired", "A file that a killed process left was completed.", "warning", path="", seconds="Its length."
)
REPAIR_FAILED: Final = EventType(
    "repair_failed", "A file that a killed process left could not be completed.", "error", path="", detail=""
)
FILE_REMOVED: Final = EventType(
    "file_removed",
    "Another program removed or renamed a file during the call; the call continues in the next file.",
    "error",
    path="",
    seconds="Length of the lost audio.",
    texts="How many texts were lost.",
)
DECODERS_STARTED: Final = EventType(
    "decoders_started",
    "The decoder processes have loaded their model.",
    model="Engine and model.",
    processes="Number of decoders.",
)
FILES: Final = frozenset({FILE_FINISHED.name, FILE_REPAIRED.name})
"""Events whose ``path`` is a result of the run: ``flowcore run`` names the files at the end."""

PAUSED: Final = Reason("paused", "Silence in the place of audio that an operator paused or muted.", lost=False)
ENGINE_REASONS: Final = (
    Reason("queue_full", "The queue before the node was full, and its policy is not ``block``."),
    Reason("node_failed", "The node had failed."),
    Reason("node_closed", "The node was not open yet, or closed already."),
    Reason("after_end", "The listener sent it after the end of its flow.", lost=False),
    Reason("drain_deadline", "It was still queued, or held by the node, at the drain deadline of its flow."),
    PAUSED,
)
"""Reasons that the engine counts at any node."""

LATE: Final = Reason("late", "It came when the audio after it had been passed on already.")
DUPLICATE: Final = Reason("duplicate", "It had come before.", lost=False)
UNKNOWN_TRACK: Final = Reason("unknown_track", "Its track is neither ``agent`` nor ``customer``.")
REMOVED: Final = Reason(
    "file_removed", "Another program removed or renamed the file, or a folder above it, during the call."
)
HOLE: Final = Reason("hole", "Silence where the input pauses.", lost=False)


class Declared:
    """The events and reasons that the nodes of a plan declare, beside those of the engine."""

    def __init__(self) -> None:
        self._events = {("", event.name): event for event in ENGINE_EVENTS}
        self._reasons = {("", reason.name): reason for reason in ENGINE_REASONS}

    def add(self, node: str, events: Iterable[EventType], reasons: Iterable[Reason]) -> None:
        """Take the declarations of a node's class."""
        self._events |= {(node, event.name): event for event in events}
        self._reasons |= {(node, reason.name): reason for reason in reasons}

    @property
    def levels(self) -> dict[str, Level]:
        """The declared level of each event, by name."""
        return {name: event.level for (_, name), event in self._events.items()}

    def level(self, node: str, event: str) -> Level:
        """The declared level; ``info`` for an undeclared event."""
        kind = self._event(node, event)
        return kind.level if kind else "info"

    def is_throttled(self, node: str, event: str) -> bool:
        """Whether the event is declared as one that peers can cause at any rate."""
        return isinstance(self._event(node, event), ThrottledEventType)

    def objection(self, node: str, event: str, data: Mapping[str, Any]) -> str:
        """Name what is not declared of an event; empty when all is."""
        kind = self._event(node, event)
        if kind is None:
            return f'{node or "flowcore"} emits {event}: declare  events = (EventType("{event}", "…"),)  in its class'
        strange = ", ".join(sorted(data.keys() - kind.fields.keys()))
        return f"{node or 'flowcore'} emits {event} with fields that are not declared: {strange}" if strange else ""

    def objections(self, node: str, reasons: Iterable[str]) -> list[str]:
        """Name the reasons that are not declared."""
        names = [reason.partition(":")[0] for reason in reasons]
        return [
            f'{node} counts {name}: declare  reasons = (Reason("{name}", "…"),)  in its class'
            for name in names
            if self._reason(node, name) is None
        ]

    def lost(self, node: str, reason: str) -> bool:
        """Whether audio that ``node`` counts under ``reason`` is lost; True for an undeclared reason."""
        kind = self._reason(node, reason.partition(":")[0])
        return kind is None or kind.lost

    def _reason(self, node: str, name: str) -> Reason | None:
        return self._reasons.get((node, name)) or self._reasons.get(("", name))

    def _event(self, node: str, event: str) -> EventType | None:
        return self._events.get((node, event)) or self._events.get(("", event))
