"""Calls until full: how many more calls a process could take, and which resource would be full first.

The least of these counts:

- ``event_loop``: the share of time in which the loop works. Python runs one thread at a time, so it stands for the CPU
  time of the process, and it grows when the core is shared.
- ``cpu``: the idle time of the machine, divided by the CPU time that a call takes in this process. Niced processes, as
  decoders are, count as idle: they take what is left.
- ``queues``: the level of the fullest kind of queue between nodes.
- what resources tell (`flowcore.resource.Resource.load`): ``decoders``.
- ``call_limit``, ``open_files``, and what nodes tell (`flowcore.node.Node.room`): ``disk``.

What all processes of a run share is divided among them, so that the numbers of the processes add up.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flowcore import open_files
from flowcore.engine.engine import Engine
from flowcore.engine.flow import STOPPING
from flowcore.telemetry.declared import ROOM, UNTIL_FULL
from flowcore.telemetry.headroom import Headroom
from flowcore.telemetry.samples import Samples

INTERVAL: Final = 1.0
"""Seconds between two samples."""
FULL_LOOP: Final = 0.85
"""Share of time in which the event loop works when it is full: beyond it slots begin late, and audio with them."""
FULL_CPU: Final = 0.9
"""Share of the machine's CPU time at which it is full."""
FULL_QUEUE: Final = 0.5
"""Level at which queues are full enough to take no more calls; at 1 they drop audio."""
MAX_ROOM: Final = 1_000_000
"""A larger estimate says as much."""
STAT: Final = Path("/proc/stat")


@dataclass(frozen=True)
class CallsUntilFull:
    """The answer of a process: ``room`` has the calls that it could still take, by resource."""

    calls: int
    room: dict[str, int]
    stopping: bool = False

    @property
    def limited_by(self) -> str:
        """The resource that would be full first."""
        return STOPPING if self.stopping else min(self.room, key=lambda name: self.room[name])

    @property
    def until_full(self) -> int:
        """Calls that the process could still take."""
        return 0 if self.stopping else self.room[self.limited_by]

    def samples(self) -> Samples:
        """Return the metrics."""
        samples = Samples()
        samples.count(UNTIL_FULL, self.until_full)
        for name, calls in self.room.items():
            samples.count(ROOM, 0 if self.stopping else calls, name)
        return samples

    def json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "calls": self.calls, "until_full": self.until_full, "limited_by": self.limited_by, "room": self.room
        }  # fmt: skip


class CapacityEstimate:
    """Measures an engine each second, at the end of a slot, and estimates the calls that it could still take."""

    def __init__(
        self,
        engine: Engine,
        cpu_time: Callable[[], float] = time.process_time,
        machine_time: Callable[[], float | None] = lambda: machine_busy(),
        cores: int | None = None,
    ) -> None:
        """``cpu_time`` returns the CPU seconds of this process so far, ``machine_time`` those of the machine."""
        self._engine = engine
        self._cpu_time = cpu_time
        self._machine_time = machine_time
        self._cores = cores or os.cpu_count() or 1
        self._headroom = Headroom()
        self._idle: float | None = None  # cores that nothing uses, smoothed
        self._before = self._now()
        engine.slots.at_end(self._sample)

    def read(self, files: open_files.Room | None = None) -> CallsUntilFull:
        """Return the present estimate; ``files`` is the room for open files, if it was looked up. From any thread."""
        engine = self._engine
        limit, calls = engine.call_limit, len(engine.flows)
        room = {"call_limit": limit.left}
        for name, capacity in self._headroom.capacities().items():
            if name != "cpu":
                room[name] = _whole(capacity - calls)
            elif self._idle is not None:  # capacity: calls that a core can take
                room[name] = _whole(capacity * self._idle / limit.takers)
        room["open_files"] = _whole((files or open_files.room()).calls / (1 + engine.version.files_per_call))
        for name, left in engine.node_room.items():
            room[name] = _whole(left / limit.takers - calls)
        return CallsUntilFull(calls, room, stopping=engine.draining)

    def _sample(self) -> None:
        before, now = self._before, self._engine.now()
        seconds = now - before.at
        if seconds < INTERVAL:
            return
        after = self._before = self._now()
        calls = len(self._engine.flows)
        used = {"event_loop": (after.loop - before.loop) / seconds / FULL_LOOP, "queues": self._level() / FULL_QUEUE}
        used["cpu"] = (after.cpu - before.cpu) / seconds
        for name, load in after.loads.items():
            used[name] = max(0.0, load - before.loads.get(name, load)) / seconds  # a reload begins at 0 again
        self._headroom.sample(used, calls, seconds)
        if after.machine is not None and before.machine is not None:
            idle = max(0.0, FULL_CPU * self._cores - (after.machine - before.machine) / seconds)
            self._idle = idle if self._idle is None else self._idle + (idle - self._idle) * min(1.0, seconds / 30.0)

    def _now(self) -> _Counters:
        engine = self._engine
        loads: dict[str, float] = {}
        for resource in tuple(engine.version.resources.values()):  # of one that nodes share, the same twice
            with suppress(Exception):  # a mistake in one node's code costs its own part of the estimate
                for name, load in resource.load().items():
                    loads[name] = max(loads.get(name, 0.0), load)
        return _Counters(engine.now(), engine.slots.durations.total, self._cpu_time(), self._machine_time(), loads)

    def _level(self) -> float:
        """Return how full the queues before a node are, of the node with the fullest ones."""
        depths: dict[str, float] = {}
        bounds: dict[str, float] = {}
        for flow in self._engine.flows.values():
            for name, border in flow.borders.items():
                depths[name] = depths.get(name, 0.0) + border.depth
                bounds[name] = bounds.get(name, 0.0) + border.plan.seconds
        return max((depth / bounds[name] for name, depth in depths.items() if bounds[name]), default=0.0)


@dataclass(frozen=True)
class _Counters:
    """Seconds so far, at one time: of work of the loop, of CPU of this process and of the machine, of each load."""

    at: float
    loop: float
    cpu: float
    machine: float | None
    loads: dict[str, float]


def machine_busy() -> float | None:
    """Return the CPU seconds of the machine so far, without those of niced processes; None if it does not tell."""
    try:
        with STAT.open() as file:  # its further lines take the kernel a while
            user, _nice, system, _idle, _wait, irq, softirq = map(int, file.readline().split()[1:8])
    except (OSError, ValueError):
        return None
    return (user + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _whole(calls: float) -> int:
    return max(0, min(MAX_ROOM, int(calls)))
