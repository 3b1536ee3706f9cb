"""Repair of files that a killed process left, by each node class: see `flowcore.node.Node.recover`."""

from __future__ import annotations

import threading

from flowcore.engine.bus import Bus
from flowcore.engine.totals import ProcessReport, Totals
from flowcore.graph.plan import Plan


def recover(plan: Plan, bus: Bus) -> None:
    """Let every node of the plan repair leftovers. Blocks; files that a process still writes are left alone."""
    for node in plan.nodes.values():
        try:
            node.cls.recover(node.config, ProcessReport(Totals(), bus, node.name))
        except Exception as error:  # a leftover that cannot be repaired must not keep calls out
            bus.emit("recovery_failed", node=node.name, cause=error)


def start_recovery(plan: Plan, bus: Bus) -> threading.Thread:
    """Run `recover` in a thread, beside the calls: a large folder takes long to search.

    The thread is a daemon: the next process repeats a repair that was cut off anywhere, as by a kill.
    """
    thread = threading.Thread(target=recover, args=(plan, bus), name="flowcore-recovery", daemon=True)
    thread.start()
    return thread
