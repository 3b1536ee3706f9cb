"""Playout buffer of one voice: a call fills it at the pace of one clock, a sound card empties it at another's.

Two quartz clocks differ by up to 200 ppm, 12 ms a minute: without correction the buffer runs dry, or its delay grows.
The buffer measures the *wait* of chunks: the time between arrival and playout. It steers the shortest wait of each
window towards ``depth``. Within the tolerance samples pass untouched; outside they play 0.1 % slower or faster, which
is inaudible (1.7 cents). A larger surplus, such as that of a card that starts late, is left out of the next pauses
between words.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from math import floor

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

WAIT_TOLERANCE = 0.010  # seconds that the wait may differ from the depth before the speed is corrected
SPEED_CORRECTION = 0.001  # fraction by which playout is then slower or faster: five times the worst quartz
MAX_SURPLUS_SECONDS = 0.020  # seconds above the depth beyond which the surplus is left out
PAUSE_TIMEOUT = 4.0  # seconds that a surplus waits for pauses; then it is cut out of the words
MIN_QUIET_SECONDS = 0.020  # of a pause between words: less may belong to a word
QUIET_SHARE = 0.02  # of the loudest level of late: -34 dB
QUIET_LEVEL = 66.0  # in the range of 16 bits, -54 dB: always quiet
LOUDEST_DECAY = 0.999  # for each block: it halves in 7 s of blocks of 10 ms
WINDOW_SECONDS = 1.0  # seconds over which the shortest wait is measured
MAX_QUEUED_SECONDS = 0.5  # of audio that may arrive between two calls of `pull`; more audio pushes out the oldest
MIN_PAUSE_SECONDS = 0.3  # audio that returns sooner after the buffer ran dry was late, not a pause: the depth grows
DEPTH_STEP = 0.010  # seconds by which late audio increases the depth, up to `MAX_DEPTH`
MAX_DEPTH = 0.100
DEPTH_DECAY = 0.0002  # seconds by which an increased depth shrinks in each window
FADE_SECONDS = 0.005  # seconds of the ramps where playout starts, runs dry or skips samples


@dataclass
class _Arrival:
    """The position of the first sample of one chunk, and the chunk's time of arrival in seconds."""

    position: int
    time: float


class PlayoutBuffer:
    """``push`` and ``pull`` may be called from two threads."""

    def __init__(self, rate: int, depth: float) -> None:
        self.rate = rate
        self.depth = depth
        self.playing = False
        self.wait = depth  # the shortest of the last window, in seconds
        self.late = 0  # times that the buffer ran dry because audio came late
        self._depth = depth
        self._lock = threading.Lock()
        self._queue: deque[tuple[NDArray[np.int16], float]] = deque()
        self._queued = 0  # samples in the queue
        self._dropped = 0  # samples not yet reported
        # Only the thread that plays uses the rest. Positions count samples since the buffer was made.
        self._held: Samples = np.zeros(0, np.float32)
        self._first = 0  # position of the first sample held
        self._position = 0.0  # of the next sample to play; a whole number while the step is 1
        self._began = -1.0  # position at which playout last started
        self._arrivals: deque[_Arrival] = deque()
        self._step = 1.0
        self._ending_correction = False
        self._shortest_wait = float("inf")
        self._window_end = float("-inf")
        self._ran_dry = float("-inf")  # time
        self._surplus = 0  # samples to leave out
        self._cut_at = float("inf")  # time at which they are cut out, pause or not
        self._loudest = 0.0  # level (RMS) of the loudest block of late

    def push(self, samples: NDArray[np.int16], now: float) -> int:
        """Add audio of the call; return the number of samples dropped since the last push."""
        with self._lock:
            self._queue.append((samples, now))
            self._queued += len(samples)
            while self._queued > MAX_QUEUED_SECONDS * self.rate and len(self._queue) > 1:
                oldest = len(self._queue.popleft()[0])
                self._dropped += oldest
                self._queued -= oldest
            dropped, self._dropped = self._dropped, 0
        return dropped

    def pull(self, frames: int, now: float) -> Samples | None:
        """Return the next ``frames`` samples in the range of 16 bits, None for silence.

        ``now`` is in seconds, on the clock of `push`.
        """
        self._take_queue()
        if not self.playing and not self._start(now):
            return None
        self._steer(now)
        fade = round(FADE_SECONDS * self.rate)
        if not self._has(frames):
            return self._run_dry(fade, frames, now)
        if self._ending_correction:
            self._step = (round(self._position + self._step * frames) - self._position) / frames
        out = self._read(frames)
        if self._position == self._began:
            out[:fade] *= _ramp(fade)
        if self._surplus:
            self._catch_up(out, fade, now)
        self._loudest = max(_level(out), self._loudest * LOUDEST_DECAY)
        began = self._position
        self._position += self._step * frames
        if self._ending_correction:
            self._step, self._ending_correction, self._position = 1.0, False, float(round(self._position))
        self._measure(began, now)
        return out

    @property
    def busy(self) -> bool:
        """Whether the buffer holds audio that is not played yet."""
        return self.playing or bool(self._queue) or bool(self._arrivals)

    def _take_queue(self) -> None:
        """Move the queue into the held samples; keep one sample before the next to play, for interpolation."""
        with self._lock:
            queue, self._queue, self._queued = self._queue, deque(), 0
        if not queue:
            return
        position = self._end
        for samples, time in queue:
            self._arrivals.append(_Arrival(position, time))
            position += len(samples)
        played = max(0, floor(self._position) - 1 - self._first)
        self._held = np.concatenate([self._held[played:], *(samples for samples, _ in queue)], dtype=np.float32)
        self._first += played

    @property
    def _end(self) -> int:
        return self._first + len(self._held)

    def _start(self, now: float) -> bool:
        """Start playout once the oldest audio has waited long enough."""
        if not self._arrivals:
            return False
        if 0 < now - self._ran_dry < MIN_PAUSE_SECONDS:
            self.late += 1
            self._depth = min(self._depth + DEPTH_STEP, MAX_DEPTH)
            self._ran_dry = float("-inf")
        if now - self._arrivals[0].time < self._depth:
            return False
        newest = self._arrivals[-1]
        wait = now - newest.time + (newest.position - floor(self._position)) / self.rate
        self._leave_out(wait - self._depth, now)
        self._arrivals.clear()  # of audio that piled up, the other waits say nothing
        self.playing = True
        self._step, self._ending_correction = 1.0, False
        self._began = self._position = float(floor(self._position))
        self._shortest_wait, self._window_end = float("inf"), now + WINDOW_SECONDS
        return True

    def _has(self, frames: int) -> bool:
        """Whether the held samples suffice for ``frames`` more; interpolation needs two samples beyond."""
        if self._step == 1.0:
            return self._position + frames <= self._end
        return floor(self._position + self._step * (frames - 1)) + 2 < self._end

    def _read(self, frames: int, skip: int = 0) -> Samples:
        start = self._position - self._first + skip
        if self._step == 1.0:
            return self._held[int(start) : int(start) + frames].copy()
        places = start + self._step * np.arange(frames)
        index = places.astype(np.intp)
        x = (places - index).astype(np.float32)
        before, here, after, then = (self._held[np.maximum(index + n, 0)] for n in (-1, 0, 1, 2))
        # The cubic through four neighbours (Lagrange): 0.1 dB at 2 kHz and 1 dB at 4 kHz, at 16 kHz.
        a, b = (after - before) / 2, (before + after) / 2 - here
        c = (then - before) / 6 + (here - after) / 2
        smooth = here + x * ((a - c) + x * (b + x * c))
        return smooth.astype(np.float32, copy=False)

    def _run_dry(self, fade: int, frames: int, now: float) -> Samples:
        """Play the remaining samples and stop until more audio arrives."""
        out = np.zeros(frames, np.float32)
        rest = self._held[max(round(self._position) - self._first, 0) :][:frames]
        fade = min(fade, len(rest))
        out[: len(rest)] = rest
        out[len(rest) - fade : len(rest)] *= _ramp(fade)[::-1]
        began, self._position = self._position, float(self._end)
        self._measure(began, now)
        self.playing, self._ran_dry = False, now
        return out

    def _leave_out(self, surplus: float, now: float) -> None:
        """Plan to leave out a surplus, in seconds, if it is large."""
        self._surplus = round(surplus * self.rate) if surplus > MAX_SURPLUS_SECONDS else 0
        self._cut_at = min(self._cut_at, now + PAUSE_TIMEOUT) if self._surplus else float("inf")

    def _catch_up(self, out: Samples, fade: int, now: float) -> None:
        """Leave out the planned samples as far as the audio is quiet, or all of them if there was no pause in time."""
        skip = min(self._surplus, self._end - floor(self._position + self._step * len(out)) - 3)
        if now < self._cut_at:
            quiet = self._quiet_samples(skip + fade, fade)
            skip = min(skip, quiet - fade) if quiet >= MIN_QUIET_SECONDS * self.rate else 0
        if skip > 0:
            self._cut(out, skip, fade)
            self._surplus -= skip
            self._cut_at = self._cut_at if self._surplus else float("inf")
            self._shortest_wait, self._window_end = float("inf"), now + WINDOW_SECONDS  # measure anew

    def _quiet_samples(self, most: int, step: int) -> int:
        """Return how many of the next samples are quiet, in steps of ``step``."""
        first = floor(self._position) - self._first
        steps = self._held[first : first + most // step * step].reshape(-1, step)
        loud = np.sqrt(np.mean(steps**2, axis=1)) > max(QUIET_LEVEL, QUIET_SHARE * self._loudest)
        return step * (int(np.argmax(loud)) if loud.any() else len(steps))

    def _cut(self, out: Samples, skip: int, fade: int) -> None:
        """Skip samples, with a cross-fade to the audio behind them."""
        frames = len(out)
        later, ramp = self._read(frames, skip), _ramp(fade)
        out[:fade] = out[:fade] * (1 - ramp) + later[:fade] * ramp
        out[fade:] = later[fade:]
        self._skip(skip)

    def _skip(self, samples: int) -> None:
        self._position += samples
        while len(self._arrivals) > 1 and self._arrivals[1].position <= self._position:
            self._arrivals.popleft()
        with self._lock:
            self._dropped += samples

    def _measure(self, began: float, now: float) -> None:
        """Update the shortest wait with the chunks whose playout began in this pull."""
        while self._arrivals and self._arrivals[0].position < self._position:
            arrival = self._arrivals.popleft()
            wait = now + (arrival.position - began) / self.rate - arrival.time
            self._shortest_wait = min(self._shortest_wait, wait)

    def _steer(self, now: float) -> None:
        """Once a window, choose the speed that brings the wait to the depth, and how many samples to leave out."""
        if now < self._window_end:
            return
        self._window_end = now + WINDOW_SECONDS
        wait, self._shortest_wait = self._shortest_wait, float("inf")
        if wait == float("inf"):  # no audio arrived: the buffer will run dry
            return
        self.wait = wait
        self._depth = max(self.depth, self._depth - DEPTH_DECAY)
        surplus = wait - self._depth
        self._leave_out(surplus, now)
        if self._surplus:
            return
        if self._step == 1.0:
            if abs(surplus) > WAIT_TOLERANCE:
                self._step = 1.0 + (SPEED_CORRECTION if surplus > 0 else -SPEED_CORRECTION)
        elif (surplus > 0) != (self._step > 1):
            self._ending_correction = True  # the next block ends on a whole sample; later samples pass untouched


def _level(samples: Samples) -> float:
    return float(np.sqrt(np.mean(samples**2)))


def _ramp(frames: int) -> Samples:
    return np.linspace(0, 1, frames, dtype=np.float32)
