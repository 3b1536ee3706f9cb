"""Filters that change the sample rate of a stream, whatever lengths it comes in."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Quality = Literal["auto", "QQ", "LQ", "MQ", "HQ", "VHQ"]

AHEAD = {"QQ": 10, "LQ": 800, "MQ": 1300, "HQ": 1600, "VHQ": 2600}
"""Samples, at the lower of both rates, that libsoxr's streams hold back at most, measured from 8 to 48 kHz (+10 %)."""

_LEAST, _MOST = np.float32(-32768), np.float32(32767)

REACH = 48
"""Samples on each side that a new one between them is made of. Measured from 8 to 16 kHz: flat to 3.7 kHz within
0.001 dB, mirror images 80 dB down from 4.22 kHz; those of 3.8 to 4 kHz, where telephones have nothing, remain."""


class Filter(Protocol):
    """Samples in; out come those that they complete, and that the filter does not use again."""

    def feed(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """Shape ``(frames,)`` or ``(frames, channels)``, always the same."""

    def finish(self) -> NDArray[np.int16]:
        """What is still held, up to a sample more or less; what is fed next is another stream."""


def new(before: int, after: int, quality: Quality, like: NDArray[np.int16]) -> Filter:
    """The filter from rate ``before`` to ``after``, in Hz, for samples of the shape of ``like``."""
    return Doubler(like) if _doubles(before, after, quality) else Soxr(before, after, _soxr(quality), like)


def ahead(before: int, after: int, quality: Quality) -> float:
    """Seconds of input that such a filter holds back at most."""
    samples = REACH if _doubles(before, after, quality) else AHEAD[_soxr(quality)]
    return samples / min(before, after)


def _doubles(before: int, after: int, quality: Quality) -> bool:
    return quality == "auto" and after == 2 * before


def _soxr(quality: Quality) -> str:
    return "HQ" if quality == "auto" else quality


def _whole(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Rounded and clipped, in place as far as it goes."""
    np.rint(samples, out=samples)
    samples.clip(_LEAST, _MOST, out=samples)  # np.clip checks more than it clips
    return samples.astype(np.int16)


class Soxr:
    """Any rates, by libsoxr, which takes some 100 KiB for each stream and channel.

    In float32, and rounded here: to int16 libsoxr adds dither, seeded with the time of day, and then the same call
    would never again give the same samples.
    """

    def __init__(self, before: int, after: int, quality: str, like: NDArray[np.int16]) -> None:
        from soxr import ResampleStream

        self._stream: Any = ResampleStream(before, after, like[:1].size, dtype="float32", quality=quality)
        self._nothing = like[:0].astype(np.float32)

    def feed(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        return _whole(self._stream.resample_chunk(samples.astype(np.float32, order="C")))

    def finish(self) -> NDArray[np.int16]:
        tail = self._stream.resample_chunk(self._nothing, last=True)
        self._stream.clear()
        return _whole(tail)


def _half_band() -> NDArray[np.float32]:
    """What makes the sample in the middle between two others: a sinc under a Kaiser window, of which half is left,
    as the other half only passes on the samples that are there."""
    taps = np.sinc(np.arange(-REACH, REACH) + 0.5) * np.kaiser(4 * REACH + 1, 8.0)[1::2]
    half: NDArray[np.float32] = (taps / taps.sum()).astype(np.float32)
    return half


class Doubler:
    """Twice the rate: every other sample is one that came in, unchanged, and each between them a sum of 96 around it.

    It keeps 95 samples and sees 48 ahead.
    """

    TAPS = _half_band()

    def __init__(self, like: NDArray[np.int16]) -> None:
        self._before = np.zeros((REACH - 1, *like.shape[1:]), np.float32)
        self._held = self._before

    def feed(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        held = np.concatenate((self._held, samples), dtype=np.float32)
        ready = max(0, len(held) - len(self.TAPS) + 1)
        made = np.empty((2 * ready, *held.shape[1:]), np.int16)
        if ready:
            made[0::2] = held[REACH - 1 : REACH - 1 + ready]
            made[1::2] = _whole(self._between(held))
        self._held = held[ready:].copy()  # a view would keep all of it
        return made

    def _between(self, held: NDArray[np.float32]) -> NDArray[np.float32]:
        # Each is a sum of its own over as many samples, so it is the same to the bit however the stream is cut.
        if held.ndim == 1:
            return np.correlate(held, self.TAPS, "valid")
        return np.stack([np.correlate(channel, self.TAPS, "valid") for channel in held.T], axis=1)

    def finish(self) -> NDArray[np.int16]:
        tail = self.feed(np.zeros((REACH, *self._before.shape[1:]), np.int16))
        self._held = self._before
        return tail
