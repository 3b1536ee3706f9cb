"""Chunks of audio: ``Packet`` as a transport delivers it, ``Audio`` as nodes process it.

Both are `msgspec` structs: immutable, made in 50 ns (a frozen dataclass takes 500), and not tracked by the garbage
collector, because they cannot be part of a reference cycle.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Encoding = Literal["mulaw", "s16", "f32"]

TELEPHONE_RATE = 8000
"""Sample rate of telephone audio, in Hz."""
TRACKS = ("agent", "customer")
"""The tracks of the two parties, in the order of the channels of stereo."""
SAMPLE_BYTES = {"mulaw": 1, "s16": 2, "f32": 4}
"""Bytes of one sample, by encoding."""
SILENCE = {"mulaw": 0xFF, "s16": 0, "f32": 0}
"""Value of a silent sample, and of each of its bytes, by encoding. 0xFF is the code of +0 in G.711 mu-law."""
FULL_SCALE = {"s16": 32768.0, "f32": 1.0}
"""The magnitude that is 0 dB, by linear encoding."""


def _mulaw_samples() -> NDArray[np.int16]:
    """Return the sample of each code: bits 0-3 are the place in a segment, 4-6 the segment, 7 the sign, inverted."""
    code = ~np.arange(256, dtype=np.uint8)
    segment = (code >> 4) & 7
    bias = 33  # G.711 shifts the 14-bit magnitude so that segment n starts at 2**(n + 5)
    magnitude = ((2 * (code & 15).astype(np.int32) + bias) << segment) - bias
    return np.where(code & 0x80, -4 * magnitude, 4 * magnitude).astype(np.int16)


MULAW_SAMPLES = _mulaw_samples()
"""The 16-bit sample of each code of G.711 mu-law."""


def level_db(samples: NDArray[Any], encoding: Encoding) -> float:
    """Return the root mean square in dB full scale, -inf for digital silence and for no samples."""
    if not len(samples):
        return float("-inf")
    if encoding == "mulaw":
        samples, encoding = MULAW_SAMPLES.take(samples), "s16"
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return 10 * float(np.log10(power / FULL_SCALE[encoding] ** 2)) if power else float("-inf")


class Packet(msgspec.Struct, frozen=True, gc=False):
    """One party's encoded audio from a transport, which may lose and reorder packets.

    ``data`` holds the encoded samples of one channel; ``arrived`` is the monotonic time of arrival in seconds.
    ``seq`` is the sender's sequence number: the receiver finds out what it counts.
    """

    track: str
    seq: int
    data: bytes
    arrived: float

    @property
    def seconds(self) -> float:
        """Length at 8 kHz and one byte per sample, the only packets of flowcore's transports."""
        return len(self.data) / TELEPHONE_RATE


class Audio(msgspec.Struct, frozen=True, gc=False):
    """A stretch of audio on the flow's clock.

    ``samples`` has the shape ``(frames,)`` for one channel or ``(frames, channels)``: ``uint8`` for mulaw,
    ``int16`` for s16, ``float32`` (-1..1) for f32. Treat them as read-only: sibling nodes share them.
    ``rate`` is in Hz. ``track`` names the party (``agent``, ``customer``), or is empty when channels stand for parties.
    ``start`` is the position of the first frame on the flow's clock, in samples at ``rate``; a chunk that starts
    later than the end of the previous chunk leaves a hole, which means silence: a pause, or dropped audio.
    """

    samples: NDArray[Any]
    encoding: Encoding
    rate: int
    track: str
    start: int

    @property
    def frames(self) -> int:
        """Length in samples of one channel."""
        return len(self.samples)

    @property
    def channels(self) -> int:
        """1 for the shape ``(frames,)``, else the second dimension."""
        return 1 if self.samples.ndim == 1 else int(self.samples.shape[1])

    @property
    def end(self) -> int:
        """Position after the last frame, in samples at ``rate``."""
        return self.start + len(self.samples)

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate

    def replace(self, **changes: Any) -> Audio:
        """Return a copy with some fields changed."""
        return msgspec.structs.replace(self, **changes)

    def level_db(self) -> float:
        """Return the root mean square in dB full scale, -inf for digital silence."""
        return level_db(self.samples, self.encoding)
