"""Filters that change the sample rate of a stream, independent of the lengths of its chunks."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from flowcore import Audio, Emit

Quality = Literal["auto", "QQ", "LQ", "MQ", "HQ", "VHQ"]

SOXR_LOOKAHEAD = {"QQ": 10, "LQ": 800, "MQ": 1300, "HQ": 1600, "VHQ": 2600}
"""Most samples that libsoxr holds back, at the lower of both rates: measured from 8 to 48 kHz, plus 10 %."""

_MIN_INT16, _MAX_INT16 = np.float32(-32768), np.float32(32767)

DOUBLER_REACH = 48
"""Samples on each side from which `Doubler` makes a new sample. Measured from 8 to 16 kHz: flat to 3.7 kHz within
0.001 dB, mirror images 80 dB down from 4.22 kHz. Images of 3.8 to 4 kHz remain; telephones have no audio there."""


class Filter(Protocol):
    """A filter that keeps its state between the chunks of a stream."""

    def feed(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """Take samples of the shape ``(frames,)`` or ``(frames, channels)``; return the samples that they complete."""

    def finish(self) -> NDArray[np.int16]:
        """End the stream and return its rest, up to one sample too long or too short; a new stream may follow."""


def make_filter(before: int, after: int, quality: Quality, like: NDArray[np.int16]) -> Filter:
    """Return a filter from rate ``before`` to ``after``, in Hz, for samples of the shape of ``like``."""
    return Doubler(like) if _doubles(before, after, quality) else Soxr(before, after, _soxr(quality), like)


def lookahead(before: int, after: int, quality: Quality) -> float:
    """Return the most seconds of input that such a filter holds back."""
    samples = DOUBLER_REACH if _doubles(before, after, quality) else SOXR_LOOKAHEAD[_soxr(quality)]
    return samples / min(before, after)


def _doubles(before: int, after: int, quality: Quality) -> bool:
    return quality == "auto" and after == 2 * before


def _soxr(quality: Quality) -> str:
    return "HQ" if quality == "auto" else quality


def _to_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Round and clip in place, and convert."""
    np.rint(samples, out=samples)
    samples.clip(_MIN_INT16, _MAX_INT16, out=samples)  # np.clip spends more on checks than on clipping
    return samples.astype(np.int16)


class Soxr:
    """Converts between any rates with libsoxr, which uses about 100 KiB for each stream and channel.

    It works in float32 and rounds afterwards: for int16, libsoxr adds dither seeded with the time of day, so the same
    call would give other samples each time.
    """

    def __init__(self, before: int, after: int, quality: str, like: NDArray[np.int16]) -> None:
        from soxr import ResampleStream

        self._stream: Any = ResampleStream(before, after, like[:1].size, dtype="float32", quality=quality)
        self._nothing = like[:0].astype(np.float32)

    def feed(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        return _to_int16(self._stream.resample_chunk(samples.astype(np.float32, order="C")))

    def finish(self) -> NDArray[np.int16]:
        tail = self._stream.resample_chunk(self._nothing, last=True)
        self._stream.clear()
        return _to_int16(tail)


def _half_band() -> NDArray[np.float32]:
    """Return the taps for the sample in the middle between two others: a sinc under a Kaiser window.

    The other half of the window only passes the existing samples on, so it is left out.
    """
    taps = np.sinc(np.arange(-DOUBLER_REACH, DOUBLER_REACH) + 0.5) * np.kaiser(4 * DOUBLER_REACH + 1, 8.0)[1::2]
    half: NDArray[np.float32] = (taps / taps.sum()).astype(np.float32)
    return half


class Doubler:
    """Doubles the rate: passes every sample unchanged, and inserts weighted sums of the 96 samples around each gap.

    It keeps 95 samples and looks 48 ahead.
    """

    TAPS = _half_band()

    def __init__(self, like: NDArray[np.int16]) -> None:
        self._before = np.zeros((DOUBLER_REACH - 1, *like.shape[1:]), np.float32)
        self._held = self._before

    def feed(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        held = np.concatenate((self._held, samples), dtype=np.float32)
        ready = max(0, len(held) - len(self.TAPS) + 1)
        doubled = np.empty((2 * ready, *held.shape[1:]), np.int16)
        if ready:
            doubled[0::2] = held[DOUBLER_REACH - 1 : DOUBLER_REACH - 1 + ready]
            doubled[1::2] = _to_int16(self._between(held))
        self._held = held[ready:].copy()  # a view would keep the whole array alive
        return doubled

    def _between(self, held: NDArray[np.float32]) -> NDArray[np.float32]:
        # Each new sample is a separate sum over equally many samples, so chunk lengths do not change a bit of it.
        if held.ndim == 1:
            return np.correlate(held, self.TAPS, "valid")
        return np.stack([np.correlate(channel, self.TAPS, "valid") for channel in held.T], axis=1)

    def finish(self) -> NDArray[np.int16]:
        tail = self.feed(np.zeros((DOUBLER_REACH, *self._before.shape[1:]), np.int16))
        self._held = self._before
        return tail


class TrackResampler:
    """Resamples one track. ``end`` is in samples of the input, ``position`` in samples of the output."""

    def __init__(self, first: Audio, rate: int, quality: Quality) -> None:
        self.track = first.track
        self.from_rate = first.rate
        self.rate = rate
        self._filter = make_filter(first.rate, rate, quality, first.samples)
        self._begin(first.start)

    def _begin(self, start: int) -> None:
        self.end = start
        self.position = self._scaled(start)

    def take(self, chunk: Audio, emit: Emit[Audio]) -> None:
        """Take the next s16 chunk; behind a hole, it begins a new stream."""
        if chunk.start != self.end:
            self.finish(emit)
            self._begin(chunk.start)
        self.end += len(chunk.samples)
        self._emit(self._filter.feed(chunk.samples), emit)

    def finish(self, emit: Emit[Audio]) -> None:
        """Emit the rest of the filter, before a hole or the end."""
        tail = self._filter.finish()
        missing = self._scaled(self.end) - self.position
        if missing > len(tail):  # libsoxr may round the length of a stream one sample off
            tail = np.concatenate([tail, np.zeros((missing - len(tail), *tail.shape[1:]), np.int16)])
        self._emit(tail[: max(missing, 0)], emit)

    def _emit(self, samples: Any, emit: Emit[Audio]) -> None:
        if len(samples):
            emit(Audio(samples, "s16", self.rate, self.track, self.position))
            self.position += len(samples)

    def _scaled(self, position: int) -> int:
        return (2 * position * self.rate + self.from_rate) // (2 * self.from_rate)  # rounds halves up, in integers
