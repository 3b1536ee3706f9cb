"""Cut one track's audio into utterances; the voice detector is an argument.

Speech begins and ends by the mean probability of a voice over a short stretch, as in Moonshine's own segmenter. One
fixed pause for all utterances gives pieces of two words, which models often get wrong; so the pause that ends an
utterance gets shorter the more speech there is: see `SegmentLimits`. Segments do not overlap, and the audio between
them holds no voice, so no word is lost or comes twice. Measurements: docs/speech.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from flowcore import Audio
from flowcore.speech import DECODER_RATE
from nodes.speech.local.voice_detector import WINDOW_SAMPLES, SileroDetector

CUT_WINDOWS = 5  # 160 ms: the shortest pause between words that is worth a cut
ONSET_WINDOWS = 16  # 512 ms: the mean over these decides whether speech began
TAIL_WINDOWS = 20  # 640 ms: the most silence after the last voice that belongs to a segment
FAINT_VOICE = 0.3  # probability of a window from which it may hold the end of a word
CERTAIN_VOICE = 0.5  # probability of a window from which it counts as voice: Silero's own default

Samples = NDArray[np.int16]


@dataclass(frozen=True)
class Segment:
    """One utterance, or its part so far: s16 samples at 16 kHz, with a probability of voice for each window.

    ``start`` (of the first sample) and ``end`` (after the last) are positions in samples on the flow's clock.
    """

    samples: Samples
    start: int
    end: int
    voice: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Length in seconds, pauses at both ends included."""
        return (self.end - self.start) / DECODER_RATE

    @property
    def voice_mean(self) -> float:
        """Mean probability of voice from the first to the last certain voice, without the silence around them."""
        first, last = self._spoken_windows
        return sum(self.voice[first:last]) / (last - first) if last else 0.0

    @property
    def voice_seconds(self) -> float:
        """Seconds of speech: see `speech`."""
        return speech(self.voice)

    @property
    def spoken(self) -> tuple[float, float]:
        """Start and end of the voice, in seconds on the flow's clock."""
        first, last = (self.start + window * WINDOW_SAMPLES for window in self._spoken_windows)
        return first / DECODER_RATE, min(last, self.end) / DECODER_RATE  # the last window may be shorter

    @property
    def _spoken_windows(self) -> tuple[int, int]:
        """The first window of certain voice, and the one after the last; all windows if there is none."""
        voiced = [number for number, voice in enumerate(self.voice) if voice >= CERTAIN_VOICE]
        return (voiced[0], voiced[-1] + 1) if voiced else (0, len(self.voice))


@dataclass(frozen=True)
class SegmentLimits:
    """Settings for the bounds of segments; all but ``threshold`` in seconds."""

    threshold: float
    """Mean probability of voice above which there is speech."""
    pause: float
    """Length of the pause that ends a segment with twice ``enough`` speech or more."""
    long_pause: float
    """Length of the pause that ends one with ``enough`` speech or less; in between, it changes in proportion."""
    enough: float
    pre_roll: float
    """Audio before the detection of speech that belongs to a segment."""
    longest: float
    """Length at which a segment is cut although the voice goes on."""
    hold: float = 1.0
    """Length of a hole in the audio from which it ends a segment; a shorter one counts as silence."""


class Segmenter:
    """Takes the audio of one track and yields segments.

    While ``speaking``, ``reaches``, ``voiced_to`` and ``so_far`` describe the open segment.
    """

    def __init__(self, voice: SileroDetector, limits: SegmentLimits) -> None:
        self._voice = voice
        self._recent: deque[float] = deque()
        self.change(limits)
        self._windows: list[Samples] = []  # the open segment, or the pre-roll of the next one
        self._voices: list[float] = []
        self._speech = 0.0  # seconds of speech in those
        self._quiet = 0  # windows since the last one with a possible voice
        self._rest = np.zeros(0, np.int16)  # audio that does not fill a window yet
        self.start = 0  # position of the first sample held, in samples on the flow's clock
        self._end: int | None = None  # position where the next chunk should start
        self.speaking = False  # whether there is an open segment

    def change(self, limits: SegmentLimits) -> None:
        """Take other limits, also for an open segment."""
        self._limits = limits
        self._pre_roll = _windows(limits.pre_roll)
        self._longest = max(4 * CUT_WINDOWS, _windows(limits.longest))
        memory = max(ONSET_WINDOWS, _windows(max(limits.pause, limits.long_pause)))
        unknown = [0.0] * (memory - len(self._recent))
        self._recent = deque([*unknown, *self._recent], maxlen=memory)

    def push(self, chunk: Audio) -> Iterator[Segment]:
        """Take a chunk and yield the segments that end in it."""
        if self._end is None:
            self.start = chunk.start
        elif chunk.start > self._end:
            yield from self._hole(chunk.start - self._end, chunk.start)
        self._end = chunk.end
        yield from self._hear(chunk.samples)

    @property
    def reaches(self) -> int:
        """Position at the end of `so_far`."""
        return self.start + self._spoken() * WINDOW_SAMPLES

    @property
    def voiced_to(self) -> int:
        """Position after the last possible voice."""
        return self.start + (len(self._windows) - self._quiet) * WINDOW_SAMPLES

    def so_far(self) -> Segment:
        """Return the open segment up to now, as if it ended here."""
        return self._segment(self._spoken())

    def end(self) -> Segment | None:
        """End the open segment with the last sample and return it; None if there is none."""
        if not self.speaking:
            return None
        if len(self._rest):
            self._windows.append(self._rest)  # shorter than a window: the detector cannot take it
            self._voices.append(self._voices[-1])
            self._rest = self._rest[:0]
        segment = self._cut(self._spoken(), speaking=False)
        self._reset()
        return segment

    def _hole(self, samples: int, to: int) -> Iterator[Segment]:
        """Handle a hole of ``samples`` samples; the audio after the hole starts at ``to``."""
        if samples < self._limits.hold * DECODER_RATE:  # as silence, the hole does not cut a word
            yield from self._hear(np.zeros(samples, np.int16))
            return
        if (segment := self.end()) is not None:
            yield segment
        self._reset()
        self.start = to

    def _reset(self) -> None:
        """Begin anew: the next audio does not continue the last."""
        self.start += sum(len(window) for window in self._windows) + len(self._rest)
        self._windows, self._voices, self._rest = [], [], self._rest[:0]
        self._speech, self._quiet = 0.0, 0
        self._recent.extend([0.0] * len(self._recent))
        self._voice.reset()

    def _hear(self, samples: Samples) -> Iterator[Segment]:
        samples = np.concatenate((self._rest, samples)) if len(self._rest) else samples
        whole = len(samples) - len(samples) % WINDOW_SAMPLES
        self._rest = samples[whole:].copy()  # a view would keep the chunk
        for at in range(0, whole, WINDOW_SAMPLES):
            if (segment := self._window(samples[at : at + WINDOW_SAMPLES])) is not None:
                yield segment

    def _window(self, window: Samples) -> Segment | None:
        voice = self._voice(window)
        self._recent.append(voice)
        self._windows.append(window)
        self._voices.append(voice)
        self._speech += voice * WINDOW_SAMPLES / DECODER_RATE
        self._quiet = 0 if voice >= FAINT_VOICE else self._quiet + 1
        if not self.speaking:
            self.speaking = self._above(ONSET_WINDOWS)
            if not self.speaking and len(self._windows) > self._pre_roll:
                self._drop(len(self._windows) - self._pre_roll)
            return None
        needed = self._needed()
        if not self._above(min(needed, ONSET_WINDOWS)) and not self._above(needed):
            return self._cut(self._spoken(), speaking=False)
        if len(self._windows) >= self._longest:
            return self._cut(self._quietest(), speaking=True)
        return None

    def _above(self, windows: int) -> bool:
        """Whether there was speech in the last ``windows`` windows, by their mean."""
        return sum(islice(reversed(self._recent), windows)) > self._limits.threshold * windows

    def _needed(self) -> int:
        """Length of the pause that would end the segment now, in windows."""
        limits = self._limits
        grown = min(1.0, max(0.0, self._speech / limits.enough - 1)) if limits.enough else 1.0
        return _windows(limits.long_pause + grown * (limits.pause - limits.long_pause))

    def _spoken(self) -> int:
        """Number of windows up to the last voice, with its tail."""
        return len(self._windows) - max(0, self._quiet - TAIL_WINDOWS)

    def _quietest(self) -> int:
        """Return the window in the middle of the quietest 160 ms in the last quarter of the open segment."""
        first = len(self._windows) * 3 // 4
        power = [float(np.mean(np.square(window, dtype=np.float32))) for window in self._windows[first:]]
        around = np.convolve(power, np.ones(CUT_WINDOWS), "valid")
        return first + int(np.argmin(around)) + CUT_WINDOWS // 2

    def _segment(self, windows: int) -> Segment:
        samples = np.concatenate(self._windows[:windows])
        return Segment(samples, self.start, self.start + len(samples), tuple(self._voices[:windows]))

    def _cut(self, windows: int, *, speaking: bool) -> Segment:
        segment = self._segment(windows)
        self._drop(windows)
        self.speaking = speaking
        if not speaking:  # the voice of this segment must not begin the next
            self._recent.extend([0.0] * len(self._recent))
        return segment

    def _drop(self, windows: int) -> None:
        self.start += sum(len(window) for window in self._windows[:windows])
        del self._windows[:windows], self._voices[:windows]
        self._speech = speech(self._voices)
        self._quiet = min(self._quiet, len(self._voices))


def _windows(seconds: float) -> int:
    return max(1, round(seconds * DECODER_RATE / WINDOW_SAMPLES))


def speech(voices: Iterable[float]) -> float:
    """Return the expected seconds of speech in windows with these probabilities of voice."""
    return sum(voices) * WINDOW_SAMPLES / DECODER_RATE
