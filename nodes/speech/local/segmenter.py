"""Cuts one party's audio into utterances. Pure logic: what hears the voice is handed in.

Who speaks is decided on the mean of the voice's probability over a short stretch, as Moonshine's own segmenter does.
A pause that ends every utterance alike gives pieces of two words, which the model often gets wrong; so the pause that
it takes shrinks with the speech there is: see `Limits`. Segments follow one another without overlap, and what lies
between them held no voice: no word is lost or heard twice. What was measured: docs/speech.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from flowcore import Audio

RATE = 16000
WINDOW = 512  # samples, 32 ms: what the voice detector hears at once
QUIET = 5  # windows, 160 ms: the shortest pause between words that is worth cutting at
ONSET = 16  # windows, 512 ms: over how much the mean is taken that tells whether somebody began to speak
TAIL = 20  # windows, 640 ms: what of the silence behind the last voice belongs to a segment, if there is so much
FAINT = 0.3  # the probability from which a window may hold the end of a word
VOICED = 0.5  # the probability at which a single window counts as voice, Silero's own default

Samples = NDArray[np.int16]


class Voice(Protocol):
    """Tells the probability (0 to 1) that somebody speaks in each of a row of windows."""

    def __call__(self, window: Samples, /) -> float: ...

    def reset(self) -> None:
        """What comes next does not follow on what came before."""


@dataclass(frozen=True)
class Segment:
    """One utterance, or as much of it as there is yet: s16 samples at 16 kHz, with a probability for each window.

    ``start`` and ``end`` are positions on the flow's clock: of the first sample, and after the last.
    """

    samples: Samples
    start: int
    end: int
    voice: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Length in seconds, pauses at both ends included."""
        return (self.end - self.start) / RATE

    def without_audio(self) -> Segment:
        """All that is known of it but the samples, which take 32 KB a second."""
        return replace(self, samples=self.samples[:0].copy())  # a view would keep them

    @property
    def voice_mean(self) -> float:
        """How sure the detector is, over all of the segment."""
        return sum(self.voice) / len(self.voice) if self.voice else 0.0

    @property
    def voice_seconds(self) -> float:
        """How much speech there is in it."""
        return speech(self.voice)

    @property
    def spoken(self) -> tuple[float, float]:
        """From when to when somebody spoke, in seconds on the flow's clock."""
        voiced = [number for number, voice in enumerate(self.voice) if voice >= VOICED]
        first, last = (voiced[0], voiced[-1] + 1) if voiced else (0, len(self.voice))
        return (self.start + first * WINDOW) / RATE, (self.start + last * WINDOW) / RATE


@dataclass(frozen=True)
class Limits:
    """Where segments begin and end; all but ``threshold`` in seconds."""

    threshold: float
    """Mean probability above which somebody speaks."""
    pause: float
    """How long a pause ends a segment with twice ``enough`` speech in it, or more."""
    long_pause: float
    """How long a pause ends one with ``enough`` speech or less; in between, it shrinks with the speech there is."""
    enough: float
    pre_roll: float
    """How much audio before the voice was noticed belongs to a segment."""
    longest: float
    """Length at which a segment is cut although the voice goes on."""
    hold: float = 1.0
    """How long no audio comes before it is not silence in a sentence any more, but the end of it."""


class Segmenter:
    """One party's audio in, segments out.

    It keeps to ``limits``. While ``speaking``, ``pausing``, ``reaches`` and ``so_far`` tell of the open segment.
    """

    def __init__(self, voice: Voice, limits: Limits) -> None:
        self._voice = voice
        self._limits = limits
        self._pre_roll = _windows(limits.pre_roll)
        self._longest = max(4 * QUIET, _windows(limits.longest))
        memory = max(ONSET, _windows(max(limits.pause, limits.long_pause)))
        self._recent: deque[float] = deque([0.0] * memory, maxlen=memory)
        self._windows: list[Samples] = []  # the open segment, or the pre-roll of the next one
        self._voices: list[float] = []
        self._speech = 0.0  # seconds of it in those
        self._quiet = 0  # windows since the last one that may have held a voice
        self._rest = np.zeros(0, np.int16)  # what does not fill a window yet
        self.start = 0
        """Position of the first sample held, in samples on the flow's clock."""
        self._end: int | None = None  # position where the next chunk should start
        self.speaking = False
        """Whether there is an open segment."""

    def push(self, chunk: Audio) -> Iterator[Segment]:
        """Listen to a chunk; yields the segments that end in it."""
        if self._end is None:
            self.start = chunk.start
        elif chunk.start > self._end:
            yield from self._hole(chunk.start - self._end, chunk.start)
        self._end = chunk.end
        yield from self._hear(chunk.samples)

    @property
    def pausing(self) -> bool:
        """Whether `so_far` is all that the open segment will be, if nothing more is said."""
        return self.speaking and self._quiet >= TAIL

    @property
    def reaches(self) -> int:
        """Position at the end of `so_far`."""
        return self.start + self._spoken() * WINDOW

    def so_far(self) -> Segment:
        """What there is of the open segment; in a pause, as much of it as a segment that ends there has."""
        return self._segment(self._spoken())

    def end(self) -> Segment | None:
        """No more audio for now: the last segment, to the last sample."""
        if not self.speaking:
            return None
        if len(self._rest):
            self._windows.append(self._rest)  # shorter than a window, and too short to be listened to
            self._voices.append(self._voices[-1])
            self._rest = self._rest[:0]
        segment = self._cut(self._spoken(), speaking=False)
        self._forget()
        return segment

    def _hole(self, frames: int, to: int) -> Iterator[Segment]:
        """Nothing came for ``frames`` samples: the party was silent. What follows starts at ``to``."""
        if frames < self._limits.hold * RATE:  # as silence, it leaves a word whole
            yield from self._hear(np.zeros(frames, np.int16))
            return
        segment = self.end()
        if segment is not None:
            yield segment
        self._forget()
        self.start = to

    def _forget(self) -> None:
        """What comes next does not follow on what was heard."""
        self.start += sum(len(window) for window in self._windows) + len(self._rest)
        self._windows, self._voices, self._rest = [], [], self._rest[:0]
        self._speech, self._quiet = 0.0, 0
        self._recent.extend([0.0] * len(self._recent))
        self._voice.reset()

    def _hear(self, samples: Samples) -> Iterator[Segment]:
        samples = np.concatenate((self._rest, samples)) if len(self._rest) else samples
        whole = len(samples) - len(samples) % WINDOW
        self._rest = samples[whole:].copy()  # a view would keep the chunk alive
        for at in range(0, whole, WINDOW):
            segment = self._window(samples[at : at + WINDOW])
            if segment is not None:
                yield segment

    def _window(self, window: Samples) -> Segment | None:
        voice = self._voice(window)
        self._recent.append(voice)
        self._windows.append(window)
        self._voices.append(voice)
        self._speech += voice * WINDOW / RATE
        self._quiet = 0 if voice >= FAINT else self._quiet + 1
        if not self.speaking:
            self.speaking = self._above(ONSET)
            if not self.speaking and len(self._windows) > self._pre_roll:
                self._drop(1)
            return None
        needed = self._needed()
        if not self._above(min(needed, ONSET)) and not self._above(needed):
            return self._cut(self._spoken(), speaking=False)
        if len(self._windows) >= self._longest:
            return self._cut(self._quietest(), speaking=True)
        return None

    def _above(self, windows: int) -> bool:
        """Whether somebody spoke in the last so many windows."""
        return sum(islice(reversed(self._recent), windows)) > self._limits.threshold * windows

    def _needed(self) -> int:
        """Windows of the pause that would end the segment now."""
        limits = self._limits
        grown = min(1.0, max(0.0, self._speech / limits.enough - 1)) if limits.enough else 1.0
        return _windows(limits.long_pause + grown * (limits.pause - limits.long_pause))

    def _spoken(self) -> int:
        """Windows up to the last voice and what belongs to it."""
        return len(self._windows) - max(0, self._quiet - TAIL)

    def _quietest(self) -> int:
        """Where in the last quarter of the open segment a cut harms least: the middle of its quietest 160 ms."""
        first = len(self._windows) * 3 // 4
        power = [float(np.mean(np.square(window, dtype=np.float32))) for window in self._windows[first:]]
        around = np.convolve(power, np.ones(QUIET), "valid")
        return first + int(np.argmin(around)) + QUIET // 2

    def _segment(self, windows: int) -> Segment:
        samples = np.concatenate(self._windows[:windows])
        return Segment(samples, self.start, self.start + len(samples), tuple(self._voices[:windows]))

    def _cut(self, windows: int, *, speaking: bool) -> Segment:
        segment = self._segment(windows)
        self._drop(windows)
        self.speaking = speaking
        if not speaking:  # what ended this segment must not begin the next
            self._recent.extend([0.0] * len(self._recent))
        return segment

    def _drop(self, windows: int) -> None:
        self.start += sum(len(window) for window in self._windows[:windows])
        del self._windows[:windows], self._voices[:windows]
        self._speech = speech(self._voices)
        self._quiet = min(self._quiet, len(self._voices))


def _windows(seconds: float) -> int:
    return max(1, round(seconds * RATE / WINDOW))


def speech(voices: Iterable[float]) -> float:
    """Seconds of speech in windows of these probabilities."""
    return sum(voices) * WINDOW / RATE
