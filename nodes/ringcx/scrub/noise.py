"""Noise in the place of speech: white, with the level of each 20 ms, and no other trace of what was said.

All samples of a block have one size, and their signs come from the place in the call: nothing of a block is kept but
its level, in steps of about half a decibel. Not even its histogram: from that, a key of a telephone could be told. What
is silent stays silent. Noise of noise is the same noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import shake_128
from math import log
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nodes.audio import g711
from nodes.audio.g711 import PACKET

FINE: Final = 128
"""Size of samples, of 32,768, below which two neighbouring sizes are mixed: single steps are coarse there."""

STEP: Final = 10**0.05
"""Half a decibel: the steps of the level, as an energy. Above `FINE` those of mu-law are about as large."""


@dataclass(frozen=True)
class Codec:
    """An encoding: ``sizes`` of samples, ascending, and their ``codes``, the positive and the negative ones."""

    sizes: NDArray[np.int64]
    codes: tuple[NDArray[np.generic], NDArray[np.generic]]
    of_code: NDArray[np.int64]
    """The size's index by the bits of a sample."""

    @property
    def width(self) -> int:
        """Bytes of a sample."""
        return self.codes[0].itemsize

    def replace(self, payload: bytes, place: str) -> bytes:
        """Return noise in the place of a payload; ``place`` names its place in the call."""
        indices = self.of_code.take(np.frombuffer(payload, f"<u{self.width}"))
        blocks = range(0, len(indices), PACKET)
        return b"".join(self._noise(indices[at : at + PACKET], f"{place}/{at}") for at in blocks)

    def _noise(self, indices: NDArray[np.int64], place: str) -> bytes:
        count = len(indices)
        larger, index = self._level(indices)
        random = np.frombuffer(shake_128(place.encode()).digest(count), np.uint8)
        chosen = np.full(count, index)
        chosen[np.argsort(random, kind="stable")[:larger]] += 1
        positive, negative = self.codes
        negated = (random & 1 == 1) & (self.sizes[chosen] > self.sizes[0])
        noise: NDArray[np.generic] = np.where(negated, negative[chosen], positive[chosen]).astype(positive.dtype)
        return noise.tobytes()

    def _level(self, indices: NDArray[np.int64]) -> tuple[int, int]:
        """Return the index of the size that gives the level, and how many samples have the next one."""
        count = len(indices)
        energy = float((self.sizes[indices] ** 2).sum())
        if 0 < energy < count * FINE**2:
            energy = STEP ** round(log(energy, STEP))
        index = int(np.searchsorted(self.sizes**2, energy / count, "right")) - 1
        if index + 1 >= len(self.sizes):
            return 0, len(self.sizes) - 1
        low, high = int(self.sizes[index]) ** 2, int(self.sizes[index + 1]) ** 2
        larger = round((energy - count * low) / (high - low))
        if self.sizes[index] >= FINE:
            larger = count if 2 * larger > count else 0
        return (0, index + 1) if larger == count else (larger, index)


def _companded(decode: NDArray[np.int16]) -> Codec:
    """Return the codec of one byte a sample, from its samples by code; the highest bit of a code is its sign."""
    positive = np.argsort(decode[128:], kind="stable") + 128
    sizes = decode[positive].astype(np.int64)
    of_code = np.zeros(256, np.int64)
    of_code[positive] = of_code[positive - 128] = np.arange(128)
    return Codec(sizes, (positive.astype(np.uint8), (positive - 128).astype(np.uint8)), of_code)


def _linear(order: str) -> Codec:
    """Return the codec of 16-bit samples in this order of bytes.

    Its steps are those of mu-law, with sizes whose noise is rougher when its bytes are swapped: by that,
    `nodes.audio.codecs.FromLinear` tells the order.
    """
    every = np.arange(32768, dtype=np.int16)
    swapped = every.byteswap().astype(np.int64) - (-every).byteswap()
    rougher = np.flatnonzero(np.abs(swapped) > 2 * every.astype(np.int64))
    steps = [rougher[np.abs(rougher - size).argmin()] for size in MULAW.sizes if size >= FINE]
    sizes = np.unique([0, *rougher[rougher < FINE], *steps])
    samples = np.arange(65536, dtype=np.uint16).astype("<u2").view(f"{order}i2").astype(np.int64)
    of_code = np.searchsorted((sizes[1:] + sizes[:-1]) / 2, np.abs(samples))
    return Codec(sizes, (sizes.astype(f"{order}i2"), (-sizes).astype(f"{order}i2")), of_code)


_ALL = np.arange(256, dtype=np.uint8)
MULAW: Final = _companded(g711.decode(_ALL))
ALAW: Final = _companded(g711.decode_alaw(_ALL))
LINEAR: Final = {order: _linear(order) for order in (">", "<")}
"""16-bit samples, by the order of their bytes."""
