"""Convert telephone audio for a decoder: for tracks that moved from a provider to a fallback on this machine."""

from __future__ import annotations

from flowcore import Audio
from flowcore.speech import DECODER_RATE
from nodes.audio import g711
from nodes.audio.rates import TrackResampler


class Converter:
    """Converts one track's audio, mulaw or s16 of any rate, to s16 at 16 kHz; adds 6 ms of delay."""

    def __init__(self) -> None:
        self._resampler: TrackResampler | None = None

    def convert(self, chunk: Audio) -> list[Audio]:
        """Return the audio that ``chunk`` completes."""
        if chunk.encoding == "mulaw":
            chunk = chunk.replace(samples=g711.decode(chunk.samples), encoding="s16")
        if chunk.rate == DECODER_RATE:
            return [chunk]
        out: list[Audio] = []
        self._resampler = self._resampler or TrackResampler(chunk, DECODER_RATE, "auto")
        self._resampler.take(chunk, out.append)
        return out

    def finish(self) -> list[Audio]:
        """Return the audio that the filter still holds, at the end."""
        out: list[Audio] = []
        if self._resampler is not None:
            self._resampler.finish(out.append)
        return out
