"""Audio of simulated calls: noise that follows from the number of the call, or voices from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flowcore.audio import TRACKS
from nodes.audio import g711, wav

RATE = g711.RATE
CHUNK = 160
SLOT = 0.020
CYCLE = 97
"""Messages after which the audio of a party repeats. A prime: a loss of a round number of messages stays visible."""

STAMP_EVERY = 10
"""One in so many messages of the agent carries a stamp, at another time in each call."""


def mulaw(call: int, track: str, seconds: float) -> bytes:
    """Return the mu-law bytes of ``track`` in the first ``seconds`` of call number ``call``."""
    rng = np.random.default_rng([call, TRACKS.index(track)])
    cycle = rng.integers(0, 256, CYCLE * CHUNK, dtype=np.uint8).tobytes()
    length = round(seconds / SLOT) * CHUNK
    return (cycle * (length // len(cycle) + 1))[:length]


def voice(path: Path) -> bytes:
    """Return the first channel of a WAV file as mu-law at 8 kHz.

    Raises `OSError`, or `ValueError` if the file is not a WAV file or is empty.
    """
    rate, samples = wav.decode(path.read_bytes())
    mono = samples[:, 0]
    if rate != RATE:
        import soxr

        mono = soxr.resample(mono, rate, RATE)
    if not len(mono):
        raise ValueError(f"{path} is empty")
    return g711.encode(mono).tobytes()


def excerpt(voice: bytes, call: int, seconds: float) -> bytes:
    """Return ``seconds`` of a repeated voice. Each call begins at another place, so that calls pause at other times."""
    length = round(seconds / SLOT) * CHUNK
    begin = call * 3 * RATE % len(voice)
    rotated = voice[begin:] + voice[:begin]
    return (rotated * (length // len(rotated) + 1))[:length]


def samples(call: int, track: str, seconds: float) -> NDArray[np.int16]:
    """Return the decoded samples of `mulaw`, by the formula of ITU-T G.711."""
    code = ~np.frombuffer(mulaw(call, track, seconds), np.uint8) & 0xFF
    size = (((code & 0x0F).astype(np.int32) << 3) + 0x84 << ((code >> 4) & 7)) - 0x84
    return np.where(code & 0x80, -size, size).astype(np.int16)
