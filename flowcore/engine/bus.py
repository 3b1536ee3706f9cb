"""What happens to flows, on one bus per process: console, logs, metrics and pages subscribe here.

``emit`` may be called from any thread and only stores; subscribers are called in the event loop's thread at the end
of the slot, so they are never in the audio's path.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flowcore.events import Declared, Level
from flowcore.graph.plan import PlanNode

BACKLOG = 100_000


@dataclass(frozen=True)
class Event:
    """``name`` of what happened to ``flow`` at ``node`` (empty when it is the flow or the process as a whole)."""

    name: str
    flow: str = ""
    node: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    level: Level = "info"


class Bus:
    """Delivers events in the order of their emission.

    ``lost`` counts those that found the backlog full, which is told by an event ``events_lost``; ``failed`` counts
    the calls of subscribers that raised. A ``strict`` bus collects in ``undeclared`` what was emitted without a
    declaration.
    """

    def __init__(self) -> None:
        self.lost = 0
        self.failed = 0
        self.declared = Declared()
        self.strict = False
        self.undeclared: dict[str, None] = {}  # a set that keeps its order
        self._told = 0
        self._waiting: deque[Event] = deque()
        self._subscribers: list[Callable[[Event], None]] = []

    def declare(self, nodes: Iterable[PlanNode]) -> None:
        """Take the declarations of these nodes' classes."""
        for node in nodes:
            self.declared.add(node.name, node.cls.events, node.cls.reasons)

    def subscribe(self, subscriber: Callable[[Event], None]) -> None:
        """Call ``subscriber`` with every event from now on."""
        self._subscribers.append(subscriber)

    def emit(self, name: str, flow: str = "", node: str = "", *, level: Level | None = None, **data: Any) -> None:
        """Tell that something happened; ``level`` overrides the declared one."""
        if self.strict and (objection := self.declared.objection(node, name, data)):
            self.undeclared[objection] = None
        if len(self._waiting) >= BACKLOG:
            self.lost += 1
            return
        self._waiting.append(Event(name, flow, node, data, level or self.declared.level(node, name)))

    def deliver(self) -> None:
        """Call the subscribers with all that waits."""
        if self.lost > self._told:
            self._waiting.append(Event("events_lost", data={"events": self.lost - self._told}, level="warning"))
            self._told = self.lost
        while self._waiting:
            event = self._waiting.popleft()
            for subscriber in self._subscribers:
                try:
                    subscriber(event)
                except Exception:  # a log on a full disk must not end the calls; and where could we say so?
                    self.failed += 1
