"""Figures of all live calls of one engine: what they lost lately, their fullest queue, whether they are on hold.

They decide the order in which calls are shown, so each answer needs those of all calls; a look at them is shared by all
that ask within `LOOK_INTERVAL`. What happened lately is the difference to earlier looks: the engine keeps no history,
so that it costs nothing when nobody looks.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from flowcore.engine.border import Border
from flowcore.engine.engine import Engine
from flowcore.engine.flow import CLOSED, RUNNING, Flow
from flowcore.engine.losses import Losses

LOOK_INTERVAL: Final = 0.5
"""Seconds for which a look serves all that ask."""
RECENT: Final = 10.0
"""Seconds of the losses that count as recent."""
RECENT_SLACK: Final = 1.5
"""Seconds that these may reach further back, with a look each second."""
HOLD: Final = 2.0
"""Seconds without a chunk of any party after which a call is on hold."""
YIELD_AFTER: Final = 25
"""Calls after which a look lets the event loop go on at once: less than 1 ms of work."""


@dataclass(eq=False)
class Figures:
    """One live call. ``recent`` is the audio that it lost lately, in seconds, ``border`` its fullest queue."""

    flow: Flow
    losses: Losses
    lost: float
    recent: float
    border: Border | None
    fullness: float
    wait: float
    on_hold: bool


@dataclass(eq=False)
class Look:
    """The figures of all live calls at one moment. ``cpu`` is the number of cores in use since the look before."""

    at: float
    calls: list[Figures]
    process: dict[str, Any]


@dataclass(slots=True, eq=False)
class _Trend:
    """Earlier looks at one call: lost seconds by time, and when its number of chunks was last seen to change."""

    losses: deque[tuple[float, float]] = field(default_factory=deque)
    chunks: int = -1
    changed: float = 0.0


class LiveFigures:
    """Looks at the calls of one engine. From any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._latest: Look | None = None
        self._trends: dict[str, _Trend] = {}
        self._used: tuple[float, float] | None = None  # real time, and CPU time of the process
        self._slots = (0, 0.0)  # their number and their work, in seconds

    def look(self) -> Look:
        """Return the figures of now, or of `LOOK_INTERVAL` ago at most."""
        with self._lock:
            latest = self._latest
            if latest is None or self._engine.now() - latest.at >= LOOK_INTERVAL:
                latest = self._latest = self._look(latest)
            return latest

    def _look(self, before: Look | None) -> Look:
        engine, now = self._engine, self._engine.now()
        trends, self._trends = self._trends, {}
        calls = []
        for number, flow in enumerate(tuple(engine.flows.values()), 1):
            if flow.state == CLOSED:
                continue
            trend = self._trends[flow.id] = trends.get(flow.id) or _Trend()
            if not trend.losses and before is not None and flow.opened_at >= before.at:
                trend.losses.append((flow.opened_at, 0.0))
            calls.append(_figures(flow, trend, now))
            if number % YIELD_AFTER == 0:
                time.sleep(0)
        return Look(now, calls, self._process())

    def _process(self) -> dict[str, Any]:
        engine, used = self._engine, (time.monotonic(), time.process_time())
        cpu = busy = None
        if self._used is not None:
            cpu = round((used[1] - self._used[1]) / max(used[0] - self._used[0], 1e-9), 3)
        durations = engine.slots.durations
        slots = (durations.count, durations.total)
        if self._used is not None and slots[0] > self._slots[0]:
            busy = round((slots[1] - self._slots[1]) / (slots[0] - self._slots[0]) * 1000, 3)
        self._used, self._slots = used, slots
        return {
            "pid": os.getpid(),
            "calls": len(engine.flows),
            "version": str(engine.version),
            "not_ready": engine.objection or engine.obstacle,
            "cpu": cpu,
            "cpu_s": round(used[1], 3),
            "slot_ms": round(engine.slots.length * 1000, 3),
            "slot_busy_ms": busy,
        }


def _figures(flow: Flow, trend: _Trend, now: float) -> Figures:
    losses = flow.losses()
    lost = losses.seconds
    while trend.losses and trend.losses[0][0] < now - RECENT - RECENT_SLACK:
        trend.losses.popleft()
    trend.losses.append((now, lost))
    listener = flow.runs.get(flow.plan.listener.name)
    chunks = listener.left().chunks if listener is not None else trend.chunks
    if chunks != trend.chunks:
        trend.chunks, trend.changed = chunks, now
    borders = tuple(flow.borders.values())
    return Figures(
        flow=flow,
        losses=losses,
        lost=lost,
        recent=max(lost - trend.losses[0][1], 0.0),
        border=max(borders, key=lambda border: border.fullness, default=None),
        fullness=max((border.fullness for border in borders), default=0.0),
        wait=max((border.wait for border in borders), default=0.0),
        on_hold=flow.state == RUNNING and now - trend.changed >= HOLD,
    )
