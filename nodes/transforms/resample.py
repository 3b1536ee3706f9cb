"""Change the sample rate of a stream, without seams between chunks of any length."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

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
        self._streams: dict[str, _Stream] = {}

    def open(self, session: Session) -> None:
        import soxr  # noqa: F401  # takes 20 ms, better at the start of a flow than at its first chunk

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        if chunk.rate == self.rate:
            emit(chunk)
            return
        stream = self._streams.get(chunk.track)
        if stream is None:
            stream = self._streams[chunk.track] = _Stream(chunk, self.rate, self.quality)
        elif chunk.start != stream.end:
            stream.finish(emit)
            stream.begin(chunk.start)
        stream.feed(chunk.samples, emit)

    def flush(self, emit: Emit[Audio]) -> None:
        for stream in self._streams.values():
            stream.finish(emit)


class _Stream:
    """One track between two holes: ``end`` is in samples of the input, ``position`` in samples of the output."""

    def __init__(self, first: Audio, rate: int, quality: rates.Quality) -> None:
        self.track = first.track
        self.from_rate = first.rate
        self.rate = rate
        self._filter = rates.make_filter(first.rate, rate, quality, first.samples)
        self.begin(first.start)

    def begin(self, start: int) -> None:
        self.end = start
        self.position = self._scaled(start)

    def feed(self, samples: Any, emit: Emit[Audio]) -> None:
        self.end += len(samples)
        self._emit(self._filter.feed(samples), emit)

    def finish(self, emit: Emit[Audio]) -> None:
        """Emit the rest of the filter, before a hole or the end."""
        tail = self._filter.finish()
        missing = self._scaled(self.end) - self.position
        if missing > len(tail):  # libsoxr may round the length of a stream one sample off
            tail = np.concatenate([tail, np.zeros((missing - len(tail), *tail.shape[1:]), np.int16)])
        self._emit(tail[: max(missing, 0)], emit)

    def _emit(self, samples: Any, emit: Emit[Audio]) -> None:
        if len(samples):
            emit(Audio(samples, "s16", self.rate, self.track, self.position))
            self.position += len(samples)

    def _scaled(self, position: int) -> int:
        return (2 * position * self.rate + self.from_rate) // (2 * self.from_rate)  # rounds halves up, in integers
