"""Watchdog: names a node that blocks the event loop or a thread of the pool, while it does so.

A thread of its own checks ten times a second and reads the stuck thread's stack, on which every hop stands with its
node.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

from flowcore.engine.bus import Bus
from flowcore.engine.node_run import run_at

if TYPE_CHECKING:
    from flowcore.engine.pool import ThreadPool
    from flowcore.engine.slots import Slots

CHECK_INTERVAL = 0.1
"""Seconds between two checks."""
LOOP_TIMEOUT: Final = 0.2
"""Seconds without a slot after which the event loop counts as blocked: every call waits for it."""
STRAND_TIMEOUT: Final = 10.0
"""Seconds with one chunk after which a thread counts as stuck: only the strand's own flow waits for it."""


class Watchdog:
    """Watches the thread that created it, which runs the slots, and the threads of the pool."""

    def __init__(self, slots: Slots, pool: ThreadPool, bus: Bus) -> None:
        self._slots = slots
        self._pool = pool
        self._bus = bus
        self._loop_thread = threading.get_ident()
        self._reported: dict[int, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="flowcore-watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(1)

    def _watch(self) -> None:
        last = time.monotonic()
        while not self._stop.wait(CHECK_INTERVAL):
            now = time.monotonic()
            late, last = now - last > 2 * CHECK_INTERVAL, now
            if late:  # this thread got no CPU time either: the machine is overloaded, and no node is to blame
                continue
            self._check("loop_blocked", self._loop_thread, self._slots.beat, now, LOOP_TIMEOUT + self._slots.period)
            for thread, strand in tuple(self._pool.running.items()):
                self._check("thread_stuck", thread, strand.since, now, STRAND_TIMEOUT)

    def _check(self, event: str, thread: int, since: float, now: float, limit: float) -> None:
        if not since or now - since < limit or self._reported.get(thread) == since:
            return
        self._reported[thread] = since
        frame = sys._current_frames().get(thread)
        if frame is not None and Path(frame.f_code.co_filename).parent.name != "asyncio":
            # In asyncio itself the loop is idle: this whole process got no CPU time, and no node is to blame.
            flow, node = blamed_node(frame)
            stack = "".join(traceback.format_stack(frame)[-3:])
            self._bus.emit(event, flow, node, seconds=round(now - since, 1), stack=stack)


def blamed_node(frame: FrameType | None) -> tuple[str, str]:
    """Return flow and node of the innermost hop on a stack; empty when no node is at work there."""
    while frame is not None:
        run = run_at(frame)
        if run is not None:
            return run.owner.id, run.plan.name
        frame = frame.f_back
    return "", ""
