"""ITU-T G.711 mu-law, and A-law for reading: one byte a sample, logarithmic, about 14 bits of range.

Both directions use tables made once from the standard's arithmetic, so a chunk costs one `numpy.take`. They agree
with the ITU's own reference software (G.191 ``ulaw_expand`` and ``ulaw_compress``) for every input.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowcore.audio import MULAW_SAMPLES, TELEPHONE_RATE

RATE = TELEPHONE_RATE
"""Sample rate of telephone audio, in Hz; mu-law has one byte a sample."""

PACKET = RATE // 50
"""Samples of a usual packet of 20 ms."""

_BIAS = 33  # G.711 shifts the 14-bit magnitude so that segment n starts at 2**(n + 5)


def decode(codes: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Return the int16 samples of mu-law ``codes``, in the same shape."""
    return MULAW_SAMPLES.take(codes)


def decode_alaw(codes: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Return the int16 samples of A-law ``codes``, in the same shape."""
    return _ALAW.take(codes)


def encode(samples: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Return the mu-law codes of int16 ``samples``, in the same shape; levels beyond the range of mu-law are clipped.

    ``encode(decode(code)) == code`` except for 0x7F, the negative zero, which becomes 0xFF.
    """
    return _CODES.take(samples.view(np.uint16))


def _alaw_table() -> NDArray[np.int16]:
    """Return the sample of each A-law code: bits as those of mu-law, but the even ones are inverted."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment, place = (code >> 4) & 7, code & 15
    magnitude = np.where(segment, (place * 16 + 0x108) << np.maximum(segment - 1, 0), place * 16 + 8)
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _code_table() -> NDArray[np.uint8]:
    """Return the code for each int16, indexed by its bits as an unsigned number."""
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    # One's complement for negative samples, as in G.191: it splits 16 bits evenly around zero.
    magnitude = np.minimum((np.where(sample < 0, ~sample, sample) >> 2) + _BIAS, 0x1FFF)
    segment = np.frexp(magnitude)[1] - 6
    place = (magnitude >> (segment + 1)) & 15
    code: NDArray[np.uint8] = ~(np.where(sample < 0, 0x80, 0) | segment << 4 | place).astype(np.uint8)
    return code


_ALAW = _alaw_table()
_CODES = _code_table()
