"""One voice between two clocks: a call brings it at its own pace, a sound card takes it at another.

Two quartz clocks differ by up to 200 ppm, 12 ms a minute: without correction the line runs dry, or its delay grows.
What is watched is the *wait*: how long the audio that came latest, of all in a second, lay here before it was played.
While that is near ``depth``, samples pass untouched. When it is not, they are played 0.1 % slower or faster, which
nobody hears (1.7 cents), until it is again.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from math import floor

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

SLACK = 0.010
"""Seconds that the wait may be off."""
STRETCH = 0.001
"""How much slower or faster to play then: five times the worst quartz."""
CUT = 0.020
"""Seconds off beyond which the surplus is cut out at once."""
WINDOW = 1.0
"""Seconds over which the shortest wait is taken."""
LONGEST = 0.5
"""Seconds that the line holds; what comes beyond pushes out the oldest."""
RETURN = 0.3
"""Seconds: audio that comes back sooner after the line ran dry was late, and no pause: then it waits longer."""
DEEPER = 0.010
"""Seconds by which ``depth`` grows with each of those, up to ``DEEPEST``; it comes back at `EASE` a window."""
DEEPEST = 0.100
EASE = 0.0002
FADE = 0.005
"""Seconds of the ramps at which it starts, runs dry and cuts."""


@dataclass
class _Mark:
    """The first sample of what came at one time: its place on the line, and when."""

    place: int
    came: float


class Line:
    """``push`` and ``pull`` may be called from two threads."""

    def __init__(self, rate: int, depth: float) -> None:
        self.rate = rate
        self.depth = depth
        self.playing = False
        self.wait = depth
        """The shortest wait of the last window, in seconds."""
        self.late = 0
        """Times that it ran dry because audio came late."""
        self._depth = depth
        self._lock = threading.Lock()
        self._came: deque[tuple[NDArray[np.int16], float]] = deque()
        self._coming = 0  # samples in it
        self._dropped = 0  # samples, not yet told
        # The rest is the player's alone. Places count samples since the line began.
        self._held: Samples = np.zeros(0, np.float32)
        self._first = 0  # place of the first one held
        self._at = 0.0  # place of the next one to play; a whole number while the step is 1
        self._began = -1.0  # where it was last when it began to play
        self._marks: deque[_Mark] = deque()
        self._step = 1.0
        self._landing = False
        self._shortest = float("inf")
        self._window = float("-inf")
        self._dried = float("-inf")

    def push(self, samples: NDArray[np.int16], now: float) -> int:
        """Take what a call brought; returns how many samples were dropped since the last time."""
        with self._lock:
            self._came.append((samples, now))
            self._coming += len(samples)
            while self._coming > LONGEST * self.rate and len(self._came) > 1:
                self._drop(len(self._came[0][0]))
                self._coming -= len(self._came.popleft()[0])
            dropped, self._dropped = self._dropped, 0
        return dropped

    def pull(self, frames: int, now: float) -> Samples | None:
        """The next ``frames`` samples, of the size of 16 bits; None for silence. ``now`` is in seconds, as in push."""
        self._take()
        if not self.playing and not self._start(now):
            return None
        surplus = self._steered(now)
        fade = round(FADE * self.rate)
        if not self._reaches(frames):
            return self._run_dry(fade, frames, now)
        if self._landing:
            self._step = (round(self._at + self._step * frames) - self._at) / frames
        out = self._read(frames)
        if self._at == self._began:
            out[:fade] *= _ramp(fade)
        if surplus:
            self._cut(out, surplus, fade)
        began = self._at
        self._at += self._step * frames
        if self._landing:
            self._step, self._landing, self._at = 1.0, False, float(round(self._at))
        self._measure(began, now)
        return out

    @property
    def busy(self) -> bool:
        """Whether there is anything that is not yet played."""
        return self.playing or bool(self._came) or bool(self._marks)

    def _take(self) -> None:
        """Move what came to what is held; keep one sample before the next to play, for the curve between them."""
        with self._lock:
            came, self._came, self._coming = self._came, deque(), 0
        if not came:
            return
        place = self._first + len(self._held)
        for samples, when in came:
            self._marks.append(_Mark(place, when))
            place += len(samples)
        keep = max(0, floor(self._at) - 1 - self._first)
        self._held = np.concatenate([self._held[keep:], *(samples for samples, _ in came)], dtype=np.float32)
        self._first += keep

    @property
    def _end(self) -> int:
        return self._first + len(self._held)

    def _start(self, now: float) -> bool:
        """Begin to play when the first audio has waited long enough; what piled up meanwhile is left out."""
        if not self._marks:
            return False
        if 0 < now - self._dried < RETURN:
            self.late += 1
            self._depth = min(self._depth + DEEPER, DEEPEST)
            self._dried = float("-inf")
        if now - self._marks[0].came < self._depth:
            return False
        most = round((self._depth + CUT) * self.rate) + self._end - self._marks[-1].place
        surplus = self._end - floor(self._at) - most
        if surplus > 0:
            self._pass_over(surplus)
        self.playing = True
        self._step, self._landing = 1.0, False
        self._began = self._at = float(floor(self._at))
        self._shortest, self._window = float("inf"), now + WINDOW
        return True

    def _reaches(self, frames: int) -> bool:
        """Whether there is enough for so many; between samples the curve needs two more."""
        if self._step == 1.0:
            return self._at + frames <= self._end
        return floor(self._at + self._step * (frames - 1)) + 2 < self._end

    def _read(self, frames: int, skip: int = 0) -> Samples:
        at = self._at - self._first + skip
        if self._step == 1.0:
            return self._held[int(at) : int(at) + frames].copy()
        places = at + self._step * np.arange(frames)
        index = places.astype(np.intp)
        x = (places - index).astype(np.float32)
        before, here, after, then = (self._held[np.maximum(index + n, 0)] for n in (-1, 0, 1, 2))
        # The cubic through four neighbours (Lagrange): 0.1 dB at 2 kHz and 1 dB at 4 kHz, at 16 kHz.
        a, b = (after - before) / 2, (before + after) / 2 - here
        c = (then - before) / 6 + (here - after) / 2
        smooth = here + x * ((a - c) + x * (b + x * c))
        return smooth.astype(np.float32, copy=False)

    def _run_dry(self, fade: int, frames: int, now: float) -> Samples:
        """Play the rest, and be silent."""
        out = np.zeros(frames, np.float32)
        rest = self._held[max(round(self._at) - self._first, 0) :][:frames]
        fade = min(fade, len(rest))
        out[: len(rest)] = rest
        out[len(rest) - fade : len(rest)] *= _ramp(fade)[::-1]
        began, self._at = self._at, float(self._end)
        self._measure(began, now)
        self.playing, self._dried = False, now
        return out

    def _cut(self, out: Samples, surplus: int, fade: int) -> None:
        """Leave out so many samples, with a cross-fade to what comes after them."""
        frames = len(out)
        skip = min(surplus, self._end - floor(self._at + self._step * frames) - 3)
        if skip <= 0:
            return
        later, ramp = self._read(frames, skip), _ramp(fade)
        out[:fade] = out[:fade] * (1 - ramp) + later[:fade] * ramp
        out[fade:] = later[fade:]
        self._pass_over(skip)

    def _pass_over(self, samples: int) -> None:
        self._at += samples
        while len(self._marks) > 1 and self._marks[1].place <= self._at:
            self._marks.popleft()
        with self._lock:
            self._drop(samples)

    def _drop(self, samples: int) -> None:
        self._dropped += samples

    def _measure(self, began: float, now: float) -> None:
        """Of what was begun with this pull: how long it had been there."""
        while self._marks and self._marks[0].place < self._at:
            mark = self._marks.popleft()
            self._shortest = min(self._shortest, now + (mark.place - began) / self.rate - mark.came)

    def _steered(self, now: float) -> int:
        """Once a window: see that the wait comes to what it should be. Returns how many samples to leave out."""
        if now < self._window:
            return 0
        self._window = now + WINDOW
        wait, self._shortest = self._shortest, float("inf")
        if wait == float("inf"):  # nothing came: it will run dry
            return 0
        self.wait = wait
        self._depth = max(self.depth, self._depth - EASE)
        off = wait - self._depth
        if off > CUT:
            return round(off * self.rate)
        if self._step == 1.0:
            if abs(off) > SLACK:
                self._step = 1.0 + (STRETCH if off > 0 else -STRETCH)
        elif (off > 0) != (self._step > 1):
            self._landing = True  # the block that is played next ends on a whole sample; then they pass untouched
        return 0


def _ramp(frames: int) -> Samples:
    return np.linspace(0, 1, frames, dtype=np.float32)
