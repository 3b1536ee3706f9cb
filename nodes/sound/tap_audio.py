"""Audio of a tap: 16-bit samples and levels in dB, of each party."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowcore.audio import FULL_SCALE, TRACKS
from nodes.audio import g711


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
