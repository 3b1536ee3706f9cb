"""What the parts of several workers tell each other: messages collected over a slot, and handed to those elsewhere.

A part is known by the first node that shares it, which is the same in all workers, as they run the same plan.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from flowcore.engine.bus import Bus
from flowcore.node import Resource

WAITING = 10_000
"""Messages that wait for the end of the slot at most."""


class WorkerMessages:
    """One worker's side. It carries nothing until ``connected``: a process alone has nobody to tell."""

    def __init__(self, bus: Bus) -> None:
        self.connected = False
        self._bus = bus
        self._parts: dict[str, Resource] = {}
        self._waiting: deque[tuple[str, Any]] = deque()
        self._lost = 0

    def join(self, name: str, part: Resource) -> None:
        """Let ``part`` tell and hear."""
        self._parts[name] = part
        part.tell = self._teller(name)

    def take(self) -> list[tuple[str, Any]]:
        """What is to be told to all other workers, in order; from the event loop's thread."""
        if self._lost:
            self._bus.emit("messages_lost", messages=self._lost)
            self._lost = 0
        return [self._waiting.popleft() for _ in range(len(self._waiting))]

    def hear(self, worker: int, told: Iterable[tuple[str, Any]] | None) -> None:
        """Hand over what another worker told, or, for None, that it is gone."""
        try:
            if told is None:
                for part in self._parts.values():
                    part.on_worker_exit(worker)
            for name, message in told or ():
                if name in self._parts:  # else it is not open yet
                    self._parts[name].on_worker_message(worker, message)
        except Exception as error:  # whatever a part's code raises costs no call, and no later message
            self._bus.emit("part_failed", cause=error)

    def _teller(self, name: str) -> Callable[[Any], None]:
        def tell(message: Any) -> None:
            if not self.connected:
                return
            if len(self._waiting) < WAITING:
                self._waiting.append((name, message))
            else:
                self._lost += 1

        return tell
