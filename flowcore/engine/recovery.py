"""Repair of files that a killed process left, by each node class: see `flowcore.node.Node.recover`."""

from __future__ import annotations

import threading
from typing import Any

from flowcore.engine.bus import Bus
from flowcore.events import Level
from flowcore.graph.plan import Plan


def recover(plan: Plan, bus: Bus) -> None:
    """Let every node of the plan repair leftovers. Blocks; files that a process still writes are left alone."""
    for node in plan.nodes.values():
        try:
            node.cls.recover(node.config, RecoveryReport(bus, node.name))
        except Exception as error:  # a leftover that cannot be repaired must not keep calls out
            bus.emit("recovery_failed", node=node.name, cause=error)


class Recovery:
    """Runs `recover` in a thread of its own, beside the calls: a large folder takes long to search."""

    def __init__(self, plan: Plan, bus: Bus) -> None:
        # A daemon: the next process repeats a repair that was cut off anywhere, as by a kill.
        self._thread = threading.Thread(target=recover, args=(plan, bus), name="flowcore-recovery", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait for the end, at most so many seconds."""
        self._thread.join(seconds)


class RecoveryReport:
    """The report of a node that recovers: events only, as there is no audio to count."""

    def __init__(self, bus: Bus, node: str) -> None:
        self._bus = bus
        self._node = node

    def dropped(self, reason: str, seconds: float = 0.0, chunks: int = 1) -> None:
        raise TypeError("recover drops no audio")

    def filled(self, reason: str, seconds: float, chunks: int = 0) -> None:
        raise TypeError("recover fills in no audio")

    def event(self, name: str, /, *, level: Level | None = None, **data: Any) -> None:
        self._bus.emit(name, node=self._node, level=level, **data)
