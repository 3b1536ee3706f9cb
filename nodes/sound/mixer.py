"""What is to be heard of the calls that there are: who, in which ear, how loud, and changed without a click."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nodes.sound.playout_buffer import Line

Channels = Literal["mix", "stereo", "agent", "customer"]
EARS: dict[Channels, dict[str, tuple[float, float]]] = {
    "mix": {},
    "stereo": {"agent": (1.0, 0.0), "customer": (0.0, 1.0)},
    "agent": {"customer": (0.0, 0.0)},
    "customer": {"agent": (0.0, 0.0)},
}
"""How much of a party goes to the left and the right ear; all of it to both where nothing is said."""
FADE = 0.030
"""Seconds of a change from silence to full loudness, or back."""
NEWEST, ALL, OFF = "newest", "all", "off"


@dataclass(frozen=True)
class Choice:
    """What to hear: ``select`` is newest, all, off, or a call id or flow; ``volume`` is a factor."""

    select: str = NEWEST
    channels: Channels = "mix"
    volume: float = 1.0


@dataclass(eq=False)
class Call:
    """A call that could be heard. ``wanted``: its audio is asked for now; ``ended``: only what is here is played."""

    flow: str
    call_id: str
    began: datetime
    choice: Choice
    wanted: bool = False
    heard: bool = False
    ended: bool = False
    lines: dict[str, Line] = field(default_factory=dict)
    gains: dict[str, NDArray[np.float32]] = field(default_factory=dict)


class Mixer:
    """Calls join and leave from any thread; `block` is called by the one that plays."""

    def __init__(self, rate: int, changed: Callable[[float], None] = lambda newest: None) -> None:
        """``changed`` hears when the newest call here began, as a POSIX time; 0 when there is none."""
        self.rate = rate
        self._changed = changed
        self._lock = threading.Lock()
        self._calls: list[Call] = []  # in the order in which they began
        self._override: Choice | None = None
        self._elsewhere = 0.0

    def join(self, call: Call) -> None:
        """A call has begun."""
        with self._lock:
            self._calls.append(call)
        self._select()

    def leave(self, call: Call) -> None:
        """It has ended: what came of it is still played."""
        call.ended = True
        self._select()

    def choose(self, choice: Choice | None) -> None:
        """Hear this, whatever the graph says; None: what the graph says."""
        self._override = choice
        self._select()

    def newest_elsewhere(self, began: float) -> None:
        """When the newest call of all other processes began, as a POSIX time."""
        self._elsewhere = began
        self._select()

    def choice(self, call: Call) -> Choice:
        """What holds for this call."""
        return self._override or call.choice

    @property
    def chosen(self) -> Choice | None:
        """What was asked for at run time."""
        return self._override

    @property
    def usual(self) -> Choice:
        """What the graph asks for, as the oldest call says it."""
        with self._lock:
            return self._calls[0].choice if self._calls else Choice()

    @property
    def idle(self) -> bool:
        """Whether all calls have left, and were played to their end."""
        return not self._calls

    def state(self) -> list[dict[str, Any]]:
        """The calls that there are, and which are heard."""
        with self._lock:
            calls = [call for call in self._calls if not call.ended]
        return [
            {
                "flow": call.flow,
                "call_id": call.call_id,
                "heard": call.heard,
                "select": self.choice(call).select,
                "channels": self.choice(call).channels,
                "volume_db": round(20 * float(np.log10(max(self.choice(call).volume, 1e-6))), 1),
            }
            for call in calls
        ]

    def _select(self) -> None:
        with self._lock:
            live = [call for call in self._calls if not call.ended]
            newest = max(reversed(live), key=lambda call: call.began, default=None)
            began = newest.began.timestamp() if newest else 0.0
            for call in live:
                select = self.choice(call).select
                call.heard = (
                    select == ALL
                    or (select == NEWEST and call is newest and began >= self._elsewhere)
                    or (select not in (ALL, NEWEST, OFF) and select in (call.flow, call.call_id))
                )
                call.wanted = call.wanted or call.heard  # until it has faded
        self._changed(began)

    def push(self, call: Call, track: str, samples: NDArray[np.int16], now: float, depth: float) -> int:
        """A call's audio, one channel; returns how many samples of that party were dropped since the last time."""
        line = call.lines.get(track)
        if line is None:
            line = Line(self.rate, depth)
            call.lines = {**call.lines, track: line}  # the one that plays may be going through the old one
        return line.push(samples, now)

    def block(self, frames: int, now: float) -> NDArray[np.float32]:
        """The next ``frames`` samples for both ears, shape (frames, 2), of the size of 16 bits; may be too loud."""
        out = np.zeros((frames, 2), np.float32)
        with self._lock:
            calls = tuple(self._calls)
        for call in calls:
            if call.wanted:
                self._add(out, call, now)
            if call.ended and not (call.wanted and any(line.busy for line in call.lines.values())):
                with self._lock:
                    self._calls.remove(call)
        return out

    def _add(self, out: NDArray[np.float32], call: Call, now: float) -> None:
        choice = self.choice(call)
        audible = call.heard
        most = len(out) / self.rate / FADE
        for track, line in call.lines.items():
            ears = EARS[choice.channels].get(track, (1.0, 1.0)) if call.heard else (0.0, 0.0)
            goal = np.array(ears, np.float32) * np.float32(choice.volume)
            before = call.gains.get(track)
            if before is None:
                before = goal  # the line fades itself in
            gain = call.gains[track] = before + np.clip(goal - before, -most, most)
            audible = audible or bool(gain.any())
            samples = line.pull(len(out), now)
            if samples is None:
                continue
            if (before == gain).all():
                out += samples[:, None] * gain
            else:
                out += samples[:, None] * np.linspace(before, gain, len(out), dtype=np.float32)
        if not audible:
            call.wanted = False
            call.lines, call.gains = {}, {}  # what is left of it would be old when it is heard again
