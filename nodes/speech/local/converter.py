"""Convert telephone audio for a decoder: for tracks that moved from a provider to a fallback on this machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowcore import Audio
from flowcore.speech import DECODER_RATE
from nodes.audio import g711, rates


class Converter:
    """Converts one track's audio, mulaw or s16 of any rate, to s16 at 16 kHz; adds 6 ms of delay."""

    def __init__(self, track: str) -> None:
        self._track = track
        self._filter: rates.Filter | None = None
        self._end = -1  # position where the next chunk should start, in samples of the input
        self._position = 0  # the same in samples of the output

    def convert(self, chunk: Audio) -> list[Audio]:
        """Return the audio that ``chunk`` completes."""
        samples = g711.decode(chunk.samples) if chunk.encoding == "mulaw" else chunk.samples
        if chunk.rate == DECODER_RATE:
            return [chunk.replace(samples=samples, encoding="s16")]
        out = []
        if self._filter is None or chunk.start != self._end:
            out += self.finish()
            self._filter = rates.make_filter(chunk.rate, DECODER_RATE, "auto", samples)
            self._position = chunk.start * DECODER_RATE // chunk.rate
        self._end = chunk.end
        return out + self._audio(self._filter.feed(samples))

    def finish(self) -> list[Audio]:
        """Return the audio that the filter still holds, at the end or before a hole."""
        return [] if self._filter is None else self._audio(self._filter.finish())

    def _audio(self, samples: NDArray[np.int16]) -> list[Audio]:
        if not len(samples):
            return []
        self._position += len(samples)
        return [Audio(samples, "s16", DECODER_RATE, self._track, self._position - len(samples))]
