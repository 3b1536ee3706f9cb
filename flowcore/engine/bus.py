"""The event bus of a process: it delivers events of flows, nodes and the engine to console, logs and metrics.

`Bus.emit` may be called from any thread and only queues the event. Subscribers are called in the event loop's thread at
the end of the slot, outside the audio's path. All events are declared in `flowcore.events` or in node classes.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flowcore.engine.throttle import Throttle
from flowcore.events import SEPARATE_FIELDS, Declared, Level
from flowcore.graph.plan import PlanNode

MAX_QUEUE = 100_000
"""Events that wait for the end of the slot; more are lost and counted."""


@dataclass(frozen=True)
class Event:
    """An event of ``flow`` at ``node``; either is empty when the event concerns the whole flow or process."""

    name: str
    flow: str = ""
    node: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    level: Level = "info"


class Bus:
    """Delivers events in the order of their emission, and throttled ones (`flowcore.events.ThrottledEventType`) merged.

    ``now`` returns monotonic seconds.
    ``lost`` counts the events that found the queue full, which the event ``events_lost`` reports; ``failed`` counts the
    calls of subscribers that raised; ``delivered`` counts events by name and level, each of the merged ones. A
    ``strict`` bus collects events without a declaration in ``undeclared``.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.lost = 0
        self.failed = 0
        self.delivered: Counter[tuple[str, str]] = Counter()
        self.declared = Declared()
        self.strict = False
        self.undeclared: dict[str, None] = {}  # a set that keeps its order
        self._lost_reported = 0
        self._queue: deque[Event] = deque()
        self._subscribers: list[Callable[[Event], None]] = []
        self._throttle: Throttle[tuple[str, ...], Event] = Throttle()

    def declare(self, nodes: Iterable[PlanNode]) -> None:
        """Add the declarations of these nodes' classes."""
        for node in nodes:
            self.declared.add(node.name, node.cls.events, node.cls.reasons)

    def subscribe(self, subscriber: Callable[[Event], None]) -> None:
        """Call ``subscriber`` with every event from now on."""
        self._subscribers.append(subscriber)

    def emit(self, name: str, flow: str = "", node: str = "", *, level: Level | None = None, **data: Any) -> None:
        """Queue an event; ``level`` overrides the declared one."""
        if self.strict and (objection := self.declared.objection(node, name, data)):
            self.undeclared[objection] = None
        if len(self._queue) >= MAX_QUEUE:
            self.lost += 1
            return
        self._queue.append(Event(name, flow, node, data, level or self.declared.level(node, name)))

    def deliver(self) -> None:
        """Call the subscribers with all queued events, and with throttled ones whose interval is over."""
        if self.lost > self._lost_reported:
            self._queue.append(Event("events_lost", data={"events": self.lost - self._lost_reported}, level="warning"))
            self._lost_reported = self.lost
        now = self.now()
        self._deliver_merged(now)
        while self._queue:
            event = self._queue.popleft()
            if not self.declared.is_throttled(event.node, event.name):
                self._deliver(event)
                continue
            key = (event.name, event.node, event.flow, *(str(event.data.get(field, "")) for field in SEPARATE_FIELDS))
            if self._throttle.is_first(key, event, now):
                self._deliver(_merged(event, 1))

    def flush(self) -> None:
        """Call the subscribers with all events, also with throttled ones: the process ends."""
        self.deliver()
        self._deliver_merged(float("inf"))

    def _deliver_merged(self, now: float) -> None:
        for event, times in self._throttle.due(now):
            self._deliver(_merged(event, times), times)

    def _deliver(self, event: Event, times: int = 1) -> None:
        self.delivered[event.name, event.level] += times
        for subscriber in self._subscribers:
            try:
                subscriber(event)
            except Exception:  # a log on a full disk must not end the calls, and there is nowhere else to report
                self.failed += 1


def _merged(event: Event, times: int) -> Event:
    return replace(event, data={**event.data, "times": times})
