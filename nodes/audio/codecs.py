"""Converters from a telephone's codecs to mu-law at 8 kHz, the only encoding of packets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from flowcore import BadMessage
from nodes.audio import g711

ToMulaw = Callable[[bytes], bytes]
"""Converts a payload to mu-law. Raises `BadMessage` for a payload that does not fit its encoding."""


def from_mulaw(payload: bytes) -> bytes:
    """Return a PCMU payload unchanged."""
    return payload


def from_alaw(payload: bytes) -> bytes:
    """Convert PCMA by the level of each code; the steps of both codes are about equally fine."""
    return payload.translate(_MULAW_OF_ALAW)


class FromLinear:
    """Converts L16, 16-bit samples in network order (RFC 3551), or in little-endian order where that is smoother.

    RingCX's L16 is unknown, and other platforms send little-endian samples. Speech with swapped bytes is far rougher
    than speech, so the first payload that is not silent decides the order of all later payloads.
    """

    def __init__(self) -> None:
        self._order = ""

    @property
    def order(self) -> str:
        """The order of bytes as numpy writes it, ``>`` or ``<`` first; empty as long as all was silent."""
        return self._order

    def __call__(self, payload: bytes) -> bytes:
        if len(payload) % 2:
            raise BadMessage("odd_payload")
        if not self._order:
            big, little = (_roughness(np.frombuffer(payload, order)) for order in (">i2", "<i2"))
            if big != little:
                self._order = ">i2" if big < little else "<i2"
        return g711.encode(np.frombuffer(payload, self._order or ">i2").astype(np.int16)).tobytes()


def mix(first: bytes, *others: bytes) -> bytes:
    """Return the sum of mu-law voices, as long as the first; shorter others are silent at their end."""
    samples = g711.decode(np.frombuffer(first, np.uint8)).astype(np.int32)
    for other in others:
        samples[: len(other)] += g711.decode(np.frombuffer(other, np.uint8))
    return g711.encode(np.clip(samples, -32768, 32767).astype(np.int16)).tobytes()


def _roughness(samples: NDArray[np.int16]) -> int:
    return int(np.abs(np.diff(samples.astype(np.int64))).sum())


_MULAW_OF_ALAW = g711.encode(g711.decode_alaw(np.arange(256, dtype=np.uint8))).tobytes()
