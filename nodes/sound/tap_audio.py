"""Audio of a tap: 16-bit samples, levels in dB, and both parties joined into stereo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowcore.audio import FULL_SCALE, TRACKS
from nodes.audio import g711

MAX_LEAD_SECONDS = 1.0  # how far one party may be ahead of the other before the other's audio becomes silence


def to_int16(head: Mapping[str, Any], data: bytes) -> NDArray[np.int16]:
    """Return the samples of a message, in the shape ``(frames,)`` or ``(frames, channels)``."""
    if head["encoding"] == "mulaw":
        samples = g711.decode(np.frombuffer(data, np.uint8))
    elif head["encoding"] == "f32":
        samples = np.clip(np.rint(np.frombuffer(data, np.float32) * 32767), -32768, 32767).astype(np.int16)
    else:
        samples = np.frombuffer(data, np.int16)
    return samples if head["channels"] == 1 else samples.reshape(-1, head["channels"])


def by_party(track: str, samples: NDArray[np.int16]) -> list[tuple[str, NDArray[np.int16]]]:
    """Return each party with its samples; the channels of stereo are agent and customer."""
    if samples.ndim == 1:
        return [(track, samples)]
    return [(party, np.ascontiguousarray(samples[:, channel])) for channel, party in enumerate(TRACKS)]


def levels_db(samples: NDArray[np.int16]) -> tuple[float, float]:
    """Return root mean square and peak in dB full scale, -inf for digital silence."""
    if not len(samples):
        return float("-inf"), float("-inf")
    wave = samples.astype(np.float64) / FULL_SCALE["s16"]
    with np.errstate(divide="ignore"):
        return 10 * float(np.log10(np.mean(wave**2))), 20 * float(np.log10(np.abs(wave).max()))


class StereoJoiner:
    """Joins the chunks of both parties into stereo frames by their positions."""

    def __init__(self, rate: int) -> None:
        self._max_lead = round(MAX_LEAD_SECONDS * rate)
        self._start: int | None = None
        self._frames = np.zeros((0, 2), np.int16)
        self._ends = [0, 0]

    def add(self, track: str, start: int, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """Return the frames that are complete now, in the shape ``(frames, 2)``.

        Samples before the end of the frames already returned are left out.
        """
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
        return self._pop_until(max(min(self._ends), max(self._ends) - self._max_lead))

    def flush(self) -> NDArray[np.int16]:
        """Return the frames still held."""
        return self._pop_until(max(self._ends))

    def _pop_until(self, end: int) -> NDArray[np.int16]:
        if self._start is None or end <= self._start:
            return self._frames[:0]
        complete, self._frames = np.split(self._frames, [end - self._start])
        self._start = end
        return complete
