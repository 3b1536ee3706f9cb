"""Put right what a killed process left: each node class knows how, see `flowcore.node.Node.recover`."""

from __future__ import annotations

import threading
from typing import Any

from flowcore.engine.bus import Bus
from flowcore.graph.plan import Plan


def recover(plan: Plan, bus: Bus) -> None:
    """Let every node of the plan look for leftovers. Blocks; what a process still writes is left alone."""
    for node in plan.nodes.values():
        try:
            node.cls.recover(node.config, RecoveryReport(bus, node.name))
        except Exception as error:  # a leftover that cannot be put right must not keep calls from being taken
            bus.emit("recovery_failed", node=node.name, cause=error)


class Recovery:
    """`recover` in a thread of its own, because it may have a large directory to look through, and calls come in."""

    def __init__(self, plan: Plan, bus: Bus) -> None:
        # A daemon: what it does may be broken off anywhere, as by a kill, and is done again by the next process.
        self._thread = threading.Thread(target=recover, args=(plan, bus), name="flowcore-recovery", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Until it is done, but no longer than that."""
        self._thread.join(seconds)


class RecoveryReport:
    """A node's report while it recovers: events only, as there is no audio to count."""

    def __init__(self, bus: Bus, node: str) -> None:
        self._bus = bus
        self._node = node

    def dropped(self, reason: str, seconds: float = 0.0, chunks: int = 1) -> None:
        raise TypeError("recover drops no audio")

    def filled(self, reason: str, seconds: float, chunks: int = 0) -> None:
        raise TypeError("recover fills in no audio")

    def event(self, event: str, **data: Any) -> None:
        self._bus.emit(event, node=self._node, **data)
