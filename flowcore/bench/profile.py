"""CPU profile of a process, by part: stages of the listener, nodes by name, borders, and the rest of the engine.

The kernel interrupts the process after every few milliseconds of CPU time, of any thread. At each interrupt, the CPU
time that a thread used since the last one is assigned to the innermost node on its stack, or else to the innermost
module that has a name. A handler in the main thread has no bias towards code that releases the global lock, unlike a
thread that samples the others; but the main thread has to wake up often, as an event loop does.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import FrameType

from flowcore.engine.node_run import run_at

SAMPLE_INTERVAL = 0.002
"""Seconds of CPU time between two samples; the kernel's clock tick is the lower limit (4 ms at 250 Hz)."""

ENGINE = "engine"
PARTS = {"flowcore.engine.border": "borders", "flowcore.engine": ENGINE}
NATIVE = "native threads"


class Profile:
    """Takes samples between ``start`` and ``stop``. ``stages`` names modules and packages of the listener.

    ``packages`` are the top packages of the nodes: a thread that a node started itself is named by their modules.
    """

    def __init__(self, stages: Mapping[str, str], *, packages: Iterable[str] = ()) -> None:
        self._parts = {**PARTS, **stages}
        self._packages = frozenset(packages)
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._clocks: dict[int, float] = {}
        self._began = 0.0

    def start(self) -> None:
        """Begin. Call it in the main thread."""
        self._began = time.process_time()
        self._clocks = {thread: _clock(thread) for thread in sys._current_frames()}  # time used before does not count
        signal.signal(signal.SIGPROF, self._sample)
        signal.siginterrupt(signal.SIGPROF, False)
        signal.setitimer(signal.ITIMER_PROF, SAMPLE_INTERVAL, SAMPLE_INTERVAL)

    def spent(self) -> dict[str, float]:
        """Return the CPU seconds by part so far. Threads without Python frames are one part."""
        native = time.process_time() - self._began - sum(self._spent.values())
        found = dict(self._spent)
        found[NATIVE] = found.get(NATIVE, 0.0) + max(0.0, native)
        return found

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _sample(self, _signal: int, interrupted: FrameType | None) -> None:
        main = threading.main_thread().ident
        # A thread in this list has a frame, so it is alive and its clock can be read.
        for thread, frame in sys._current_frames().items():
            spent = _clock(thread)
            since = spent - self._clocks.get(thread, 0.0)
            self._clocks[thread] = spent
            if since > 0:
                self._spent[self._part(interrupted if thread == main else frame)] += since

    def _part(self, frame: FrameType | None) -> str:
        """Return the part that a stack is in: the engine, with its event loop, if no frame has another name."""
        at = frame
        own = ""
        while at is not None:
            name = at.f_globals.get("__name__", "")
            part = self._module(name)
            if part and (part != ENGINE or at is frame):
                return part
            run = run_at(at)
            if run is not None:
                return run.plan.name
            if not own and name.partition(".")[0] in self._packages:
                own = name.partition(".")[2]
            at = at.f_back
        return own or ENGINE

    def _module(self, name: str) -> str:
        while name:
            if name in self._parts:
                return self._parts[name]
            name = name.rpartition(".")[0]
        return ""


def _clock(thread: int) -> float:
    """Return the CPU seconds that a thread of this process has used."""
    return time.clock_gettime(time.pthread_getcpuclockid(thread))
