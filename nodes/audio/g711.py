"""ITU-T G.711 mu-law: one byte a sample, logarithmic, about 14 bits of range.

Both directions are tables made once from the standard's arithmetic, so a chunk costs one `numpy.take`.
They agree with the ITU's own reference software (G.191 ``ulaw_expand`` and ``ulaw_compress``) for every input.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowcore.audio import TELEPHONE_RATE

RATE = TELEPHONE_RATE
"""Sample rate of telephone audio, in Hz; mu-law has one byte a sample."""

PACKET = RATE // 50
"""Samples of a usual packet: 20 ms."""

_BIAS = 33  # G.711 shifts the 14-bit magnitude so that segment n starts at 2**(n + 5)


def decode(codes: NDArray[np.uint8]) -> NDArray[np.int16]:
    """The int16 samples of mu-law ``codes``, in the same shape."""
    return _LINEAR.take(codes)


def encode(samples: NDArray[np.int16]) -> NDArray[np.uint8]:
    """The mu-law codes of int16 ``samples``, in the same shape; what lies beyond the code's range is clipped.

    ``encode(decode(code)) == code`` but for 0x7F, the second zero, which becomes 0xFF as no int16 is negative zero.
    """
    return _CODES.take(samples.view(np.uint16))


def _linear_table() -> NDArray[np.int16]:
    """Sample for each code: bits 0-3 are the place in a segment, 4-6 the segment, 7 the sign; all are sent inverted."""
    code = ~np.arange(256, dtype=np.uint8)
    segment = (code >> 4) & 7
    magnitude = ((2 * (code & 15).astype(np.int32) + _BIAS) << segment) - _BIAS
    return np.where(code & 0x80, -4 * magnitude, 4 * magnitude).astype(np.int16)


def _code_table() -> NDArray[np.uint8]:
    """Code for each int16, indexed by its bits as an unsigned number."""
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    # One's complement for negative samples, as G.191 does it: 16 bits split evenly around zero.
    magnitude = np.minimum((np.where(sample < 0, ~sample, sample) >> 2) + _BIAS, 0x1FFF)
    segment = np.frexp(magnitude)[1] - 6
    place = (magnitude >> (segment + 1)) & 15
    code: NDArray[np.uint8] = ~(np.where(sample < 0, 0x80, 0) | segment << 4 | place).astype(np.uint8)
    return code


_LINEAR = _linear_table()
_CODES = _code_table()
