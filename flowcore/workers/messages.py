"""Messages between the same resource in several workers: collected over a slot, then handed to the other workers.

A resource goes by the name of the first node that shares it. All workers run the same plan, so the name is the same
in all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from flowcore.engine.bus import Bus
from flowcore.resource import Resource

MAX_WAITING = 10_000
"""Messages that wait for the end of the slot at most."""


class WorkerMessages:
    """One worker's side; implements `flowcore.engine.admission.MessagePort`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._resources: dict[str, Resource] = {}
        self._waiting: deque[tuple[str, Any]] = deque()
        self._lost = 0

    def join(self, name: str, resource: Resource) -> None:
        self._resources[name] = resource
        resource.tell = self._sender(name)

    def take(self) -> list[tuple[str, Any]]:
        """Return the messages for all other workers, in order; call it in the event loop's thread."""
        if self._lost:
            self._bus.emit("messages_lost", messages=self._lost)
            self._lost = 0
        return [self._waiting.popleft() for _ in range(len(self._waiting))]

    def deliver(self, worker: int, messages: Iterable[tuple[str, Any]] | None) -> None:
        """Hand over the messages of another worker; None means that the worker has ended."""
        try:
            if messages is None:
                for resource in self._resources.values():
                    resource.on_worker_exit(worker)
            for name, message in messages or ():
                if name in self._resources:  # else it is not open yet
                    self._resources[name].on_worker_message(worker, message)
        except Exception as error:  # an error in a resource's code must end no call, and stop no later message
            self._bus.emit("resource_failed", cause=error)

    def _sender(self, name: str) -> Callable[[Any], None]:
        def tell(message: Any) -> None:
            if len(self._waiting) < MAX_WAITING:
                self._waiting.append((name, message))
            else:
                self._lost += 1

        return tell
