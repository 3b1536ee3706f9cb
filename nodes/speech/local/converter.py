"""Telephone audio as decoders want it: for a party that a provider was to hear, and a model here must."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowcore import Audio
from nodes.audio import g711, rates

RATE = 16000


class Converter:
    """One party's audio, mulaw or s16 of any rate, as s16 at 16 kHz; 6 ms late."""

    def __init__(self, track: str) -> None:
        self._track = track
        self._filter: rates.Filter | None = None
        self._end = -1  # where the next chunk goes on, in samples of the input
        self._position = 0  # where its output does

    def convert(self, chunk: Audio) -> list[Audio]:
        """What ``chunk`` completes."""
        samples = g711.decode(chunk.samples) if chunk.encoding == "mulaw" else chunk.samples
        if chunk.rate == RATE:
            return [chunk.replace(samples=samples, encoding="s16")]
        out = []
        if self._filter is None or chunk.start != self._end:
            out += self.finish()
            self._filter = rates.new(chunk.rate, RATE, "auto", samples)
            self._position = chunk.start * RATE // chunk.rate
        self._end = chunk.end
        return out + self._audio(self._filter.feed(samples))

    def finish(self) -> list[Audio]:
        """What is still held, when nothing follows on it."""
        return [] if self._filter is None else self._audio(self._filter.finish())

    def _audio(self, samples: NDArray[np.int16]) -> list[Audio]:
        if not len(samples):
            return []
        self._position += len(samples)
        return [Audio(samples, "s16", RATE, self._track, self._position - len(samples))]
