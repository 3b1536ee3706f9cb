"""Audio that is known from the number of its call, so that whoever recorded it can be checked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowcore import stamps

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
