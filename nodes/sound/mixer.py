"""Mixer of live calls: selects calls and parties, and fades between changes of channel and volume."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nodes.sound.playout_buffer import PlayoutBuffer

Channels = Literal["mix", "stereo", "agent", "customer"]
PARTY_GAINS: dict[Channels, dict[str, tuple[float, float]]] = {
    "mix": {},
    "stereo": {"agent": (1.0, 0.0), "customer": (0.0, 1.0)},
    "agent": {"customer": (0.0, 0.0)},
    "customer": {"agent": (0.0, 0.0)},
}
"""Gain of a party in the left and the right ear; a party that is not listed has 1.0 in both."""
FADE_SECONDS = 0.030  # time of a change from silence to full volume, or back
NEWEST, ALL, OFF = "newest", "all", "off"


@dataclass(frozen=True)
class Choice:
    """Selection of the calls to play: ``select`` is newest, all, off, a call id or a flow; ``volume`` is a factor."""

    select: str = NEWEST
    channels: Channels = "mix"
    volume: float = 1.0


@dataclass(eq=False)
class Call:
    """A live call. ``wanted``: the mixer takes its audio; ``heard``: it is selected; ``ended``: its rest is played."""

    flow: str
    call_id: str
    began: datetime
    choice: Choice
    wanted: bool = False
    heard: bool = False
    ended: bool = False
    silent: frozenset[str] = frozenset()
    """Parties that an operator silences; the empty name stands for all."""
    buffers: dict[str, PlayoutBuffer] = field(default_factory=dict)
    gains: dict[str, NDArray[np.float32]] = field(default_factory=dict)


class Mixer:
    """Mixes the selected calls. Calls join and leave from any thread; the thread that plays calls `block`."""

    def __init__(self, rate: int, on_newest: Callable[[float], None] = lambda began: None) -> None:
        """``on_newest`` receives the start of this process's newest call as a POSIX time, 0 without calls."""
        self.rate = rate
        self._on_newest = on_newest
        self._lock = threading.Lock()
        self._calls: list[Call] = []  # in the order in which they began
        self.override: Choice | None = None  # the selection made at run time
        self._elsewhere = 0.0

    def join(self, call: Call) -> None:
        """Add a call."""
        with self._lock:
            self._calls.append(call)
        self._select()

    def leave(self, call: Call) -> None:
        """End a call; the audio in its buffers is still played."""
        call.ended = True
        self._select()

    def change(self, call: Call, choice: Choice) -> None:
        """Change what the graph says of a call."""
        call.choice = choice
        self._select()

    def choose(self, choice: Choice | None) -> None:
        """Override the selection of the graph; None restores it."""
        self.override = choice
        self._select()

    def newest_elsewhere(self, began: float) -> None:
        """Take the start of the newest call of all other processes, as a POSIX time."""
        self._elsewhere = began
        self._select()

    def choice(self, call: Call) -> Choice:
        """Return the selection that applies to this call."""
        return self.override or call.choice

    @property
    def configured(self) -> Choice:
        """The selection of the graph, taken from the oldest call."""
        with self._lock:
            return self._calls[0].choice if self._calls else Choice()

    @property
    def idle(self) -> bool:
        """Whether all calls have left and their buffers are empty."""
        return not self._calls

    def state(self) -> list[dict[str, Any]]:
        """Return the live calls with their selection."""
        with self._lock:
            calls = [call for call in self._calls if not call.ended]
        return [
            {
                "flow": call.flow,
                "call_id": call.call_id,
                "heard": call.heard,
                "paused": "" in call.silent,
                "muted": sorted(call.silent - {""}),
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
                call.wanted = call.wanted or call.heard  # until it has faded out
        self._on_newest(began)

    def push(self, call: Call, track: str, samples: NDArray[np.int16], now: float, depth: float) -> int:
        """Add one channel of a call; return the number of samples of that party dropped since the last push."""
        buffer = call.buffers.get(track)
        if buffer is None:
            buffer = PlayoutBuffer(self.rate, depth)
            call.buffers = {**call.buffers, track: buffer}  # the thread that plays may be iterating over the old one
        return buffer.push(samples, now)

    def block(self, frames: int, now: float) -> NDArray[np.float32]:
        """Return the next ``frames`` of both ears, shape ``(frames, 2)``; sums may exceed the range of 16 bits."""
        out = np.zeros((frames, 2), np.float32)
        with self._lock:
            calls = tuple(self._calls)
        for call in calls:
            if call.wanted:
                self._add(out, call, now)
            if call.ended and not (call.wanted and any(buffer.busy for buffer in call.buffers.values())):
                with self._lock:
                    self._calls.remove(call)
        return out

    def _add(self, out: NDArray[np.float32], call: Call, now: float) -> None:
        choice = self.choice(call)
        audible = call.heard
        max_change = len(out) / self.rate / FADE_SECONDS
        for track, buffer in call.buffers.items():
            gains = PARTY_GAINS[choice.channels].get(track, (1.0, 1.0)) if call.heard else (0.0, 0.0)
            goal = np.array(gains, np.float32) * np.float32(choice.volume)
            before = call.gains.get(track)
            if before is None:
                before = goal  # the buffer fades in
            gain = call.gains[track] = before + np.clip(goal - before, -max_change, max_change)
            audible = audible or bool(gain.any())
            samples = buffer.pull(len(out), now)
            if samples is None:
                continue
            if (before == gain).all():
                out += samples[:, None] * gain
            else:
                out += samples[:, None] * np.linspace(before, gain, len(out), dtype=np.float32)
        if not audible:
            call.wanted = False
            call.buffers, call.gains = {}, {}  # their audio would be old when the call is heard again
