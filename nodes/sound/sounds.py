"""What comes of a tap as sound: samples of 16 bits, levels, and both parties side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowcore.audio import FULL_SCALE, TRACKS
from nodes.audio import g711

WAIT = 1.0
"""Seconds that one party may be ahead of the other, before the other's part becomes silence."""


def linear(head: Mapping[str, Any], data: bytes) -> NDArray[np.int16]:
    """The samples of a message, shape ``(frames,)`` or ``(frames, channels)``."""
    if head["encoding"] == "mulaw":
        samples = g711.decode(np.frombuffer(data, np.uint8))
    elif head["encoding"] == "f32":
        samples = np.clip(np.rint(np.frombuffer(data, np.float32) * 32767), -32768, 32767).astype(np.int16)
    else:
        samples = np.frombuffer(data, np.int16)
    return samples if head["channels"] == 1 else samples.reshape(-1, head["channels"])


def by_party(head: Mapping[str, Any], samples: NDArray[np.int16]) -> list[tuple[str, NDArray[np.int16]]]:
    """One channel for each party: those of stereo are the agent's and the customer's."""
    if samples.ndim == 1:
        return [(head["track"], samples)]
    return [(party, np.ascontiguousarray(samples[:, channel])) for channel, party in enumerate(TRACKS)]


def level(samples: NDArray[np.int16]) -> tuple[float, float]:
    """Root mean square and peak, in dB full scale; -inf for digital silence."""
    if not len(samples):
        return float("-inf"), float("-inf")
    wave = samples.astype(np.float64) / FULL_SCALE["s16"]
    with np.errstate(divide="ignore"):
        return 10 * float(np.log10(np.mean(wave**2))), 20 * float(np.log10(np.abs(wave).max()))


class SideBySide:
    """Both parties' chunks, which come one after the other, as frames of two channels by their positions."""

    def __init__(self, rate: int) -> None:
        self._wait = round(WAIT * rate)
        self._start: int | None = None
        self._frames = np.zeros((0, 2), np.int16)
        self._ends = [0, 0]

    def add(self, track: str, start: int, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """Returns what is complete now, shape (frames, 2). What comes for a stretch that is out is left out."""
        channel = TRACKS.index(track) if track in TRACKS else 0
        if self._start is None:
            self._start = start
            self._ends = [start, start]
        at = start - self._start
        samples, at = samples[max(0, -at) :], max(0, at)
        missing = at + len(samples) - len(self._frames)
        if missing > 0:
            self._frames = np.concatenate([self._frames, np.zeros((missing, 2), np.int16)])
        self._frames[at : at + len(samples), channel] = samples
        self._ends[channel] = max(self._ends[channel], self._start + at + len(samples))
        return self._take(max(min(self._ends), max(self._ends) - self._wait))

    def rest(self) -> NDArray[np.int16]:
        """What is still held."""
        return self._take(max(self._ends))

    def _take(self, until: int) -> NDArray[np.int16]:
        if self._start is None or until <= self._start:
            return self._frames[:0]
        whole, self._frames = np.split(self._frames, [until - self._start])
        self._start = until
        return whole
