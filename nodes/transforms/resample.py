"""Change the sample rate of a stream, without seams between chunks of any length."""

from __future__ import annotations

from dataclasses import replace

from flowcore import Audio, Caps, Config, Emit, Format, Rate, Session, Transform, node
from nodes.audio import rates


class ResampleConfig(Config):
    """Target rate and quality."""

    rate: Rate = Rate(16000)
    """Sample rate of the output, in Hz; audio at that rate passes unchanged."""

    quality: rates.Quality = "auto"
    """A filter of libsoxr, from quick to very high: better filters look further ahead, but cost about the same.
    ``auto`` is HQ, except where the rate doubles (from a telephone to a recogniser): that filter keeps 0.4 KiB per
    track instead of 100 KiB and looks 6 ms ahead; 4.0 to 4.2 kHz then mirror the input from 3.8 to 4.0 kHz."""


@node("resample")
class Resample(Transform[Audio, Audio, ResampleConfig]):
    """Resample each track separately.

    In: ``Audio``, s16, any rate and layout. Out: the same at ``rate``. Positions are exact: audio between two holes
    comes out from ``round(start * ratio)`` to ``round(end * ratio)``. The filter looks ahead, so the output is delayed
    (8 to 16 kHz: by 6 ms, with HQ by 80 to 115 ms) until a hole or the end flushes the rest.

    Example::

        speech: {use: resample, from: voices, with: {rate: 16000}}
    """

    caps = (Caps("audio", ("s16",)),)
    balanced = True

    @classmethod
    def gives(cls, config: ResampleConfig, given: Format) -> Format:
        return replace(given, rate=int(config.rate))

    @classmethod
    def converts(cls, wanted: Caps) -> ResampleConfig | None:
        return ResampleConfig(rate=Rate(wanted.rates[0])) if len(wanted.rates) == 1 else None

    @classmethod
    def latency(cls, config: ResampleConfig, given: Format) -> float:
        return 0.0 if given.rate == config.rate else rates.lookahead(given.rate, int(config.rate), config.quality)

    def __init__(self, config: ResampleConfig) -> None:
        self.rate = int(config.rate)
        self.quality = config.quality
        self._streams: dict[str, rates.TrackResampler] = {}

    def open(self, session: Session) -> None:
        import soxr  # noqa: F401  # takes 20 ms, better at the start of a flow than at its first chunk

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        if chunk.rate == self.rate:
            emit(chunk)
            return
        stream = self._streams.get(chunk.track)
        if stream is None:
            stream = self._streams[chunk.track] = rates.TrackResampler(chunk, self.rate, self.quality)
        stream.take(chunk, emit)

    def flush(self, emit: Emit[Audio]) -> None:
        for stream in self._streams.values():
            stream.finish(emit)
