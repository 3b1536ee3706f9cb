"""What simulated calls say: noise that is known from the number of the call, or voices from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flowcore import stamps
from nodes.audio import g711, wav

TRACKS = ("agent", "customer")
RATE = 8000
CHUNK = 160
SLOT = 0.020
CYCLE = 97
"""Messages of one party after which its audio repeats: no multiple of anything that could hide a loss."""

STAMPED = 10
"""One in so many of the agent's messages carries a stamp, in each call at another time."""


def mulaw(call: int, track: str, seconds: float) -> bytes:
    """The mu-law bytes that ``track`` of call number ``call`` says in its first ``seconds``."""
    seed = np.random.default_rng([call, TRACKS.index(track)])
    cycle = seed.integers(0, 256, CYCLE * CHUNK, dtype=np.uint8).tobytes()
    length = round(seconds / SLOT) * CHUNK
    return (cycle * (length // len(cycle) + 1))[:length]


def voice(path: Path) -> bytes:
    """A WAV file's first channel as mu-law at 8 kHz. Raises `OSError`, or `ValueError` for what is no WAV file."""
    rate, samples = wav.decode(path.read_bytes())
    mono = samples[:, 0]
    if rate != RATE:
        import soxr

        mono = soxr.resample(mono, rate, RATE)
    if not len(mono):
        raise ValueError(f"{path} is empty")
    return g711.encode(mono).tobytes()


def excerpt(voice: bytes, call: int, seconds: float) -> bytes:
    """``seconds`` of a voice, over and over, in each call from another place, so that calls do not pause together."""
    length = round(seconds / SLOT) * CHUNK
    begin = call * 3 * RATE % len(voice)
    turned = voice[begin:] + voice[:begin]
    return (turned * (length // len(turned) + 1))[:length]


def samples(call: int, track: str, seconds: float) -> NDArray[np.int16]:
    """What `mulaw` decodes to, by the formula of ITU-T G.711."""
    code = ~np.frombuffer(mulaw(call, track, seconds), np.uint8) & 0xFF
    size = (((code & 0x0F).astype(np.int32) << 3) + 0x84 << ((code >> 4) & 7)) - 0x84
    return np.where(code & 0x80, -size, size).astype(np.int16)


def stamped(call: int, seconds: float) -> NDArray[np.bool_]:
    """Which of the agent's samples are replaced with ``--stamps``."""
    slots = np.arange(round(seconds / SLOT))
    marked = np.zeros((len(slots), CHUNK), np.bool_)
    marked[(slots + call) % STAMPED == 0, : stamps.LENGTH] = True
    return marked.reshape(-1)
