"""Drive a streaming engine for all tracks of one node, and a fallback engine for the tracks that it gave up.

All calls of a process share the engines of a `StreamerResource`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from random import random

from flowcore import Audio, Emit, Resource, Text
from flowcore.metrics import Histogram, Metric
from flowcore.speech import Streamer
from nodes.speech.cloud.replay_buffer import ReplayBuffer
from nodes.speech.cloud.retry import RetryPolicy
from nodes.speech.cloud.streaming_track import StreamingTrack
from nodes.speech.driver import Driver, DriverHost, Transcripts
from nodes.speech.engine_choice import SpeechEngine
from nodes.speech.local.converter import Converter
from nodes.speech.local.segmenter import SegmentLimits
from nodes.speech.local.utterance_driver import DecoderResource
from nodes.speech.usage import AUDIO_SENT, Usage


@dataclass(unsafe_hash=True)
class StreamerResource(Resource):
    """The resource of `transcribe` for a streaming engine; equal for the same engine and fallback."""

    engine: SpeechEngine
    fallback: DecoderResource | None
    streamer: Streamer = field(init=False, compare=False)
    usage: Usage = field(default_factory=Usage, init=False, compare=False)

    def open(self) -> None:
        made = self.engine.make()
        assert isinstance(made, Streamer)  # noqa: S101  # `SpeechEngine.streams` is true
        self.streamer = made
        try:
            self.streamer.open()
            if self.fallback is not None:
                self.fallback.report = self.report
                self.fallback.open()
        except BaseException:
            self.streamer.close()
            raise

    def close(self) -> None:
        self.streamer.close()
        if self.fallback is not None:
            self.fallback.close()

    def measure(self) -> dict[Metric, float | Histogram]:
        measured = self.fallback.measure() if self.fallback is not None else {}
        return {**measured, AUDIO_SENT: self.usage.seconds}


@dataclass(eq=False)
class StreamingDriver:
    """One `StreamingTrack` for each track of the node ``host``; ``make_fallback`` makes the driver for lost tracks.

    ``backlog`` is how many seconds of each track's audio are kept until they have a final text; ``usage`` counts what
    is sent. ``phrases`` are words to expect; empty for an engine that takes none.
    """

    host: DriverHost
    engine: Streamer
    backlog: float
    interim: bool
    transcripts: Transcripts
    make_fallback: Callable[[DriverHost], Driver] | None
    usage: Usage = field(default_factory=Usage)
    phrases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.report = self.host.report
        self._tracks: dict[str, StreamingTrack] = {}
        self._converters: dict[str, Converter] = {}  # of the tracks that gave up
        self._fallback: Driver | None = None
        self._fallback_due = inf
        self._close_by = inf

    def push(self, chunk: Audio) -> None:
        if chunk.track in self._converters:
            self._push_fallback(self._converters[chunk.track].convert(chunk))
            return
        track = self._tracks.get(chunk.track) or self._new_track(chunk)
        track.transcript.arrived(chunk)
        track.push(chunk)

    def change(self, limits: SegmentLimits, interim: float, phrases: tuple[str, ...]) -> None:
        self.interim, self.phrases = bool(interim), phrases
        for track in self._tracks.values():
            track.interim, track.phrases = self.interim, phrases

    def flush(self, by: float) -> None:
        self._close_by = by
        for track in self._tracks.values():
            track.finish(by)
        self._flush_fallback()

    def busy(self) -> bool:
        drivers: list[StreamingTrack | Driver] = [*self._tracks.values(), *([self._fallback] if self._fallback else [])]
        return any(driver.busy() for driver in drivers)

    def awaits_results(self) -> bool:
        return False  # a service answers when it likes

    def collect(self, emit: Emit[Text]) -> None:
        try:
            for track in list(self._tracks.values()):
                track.poll()
                if track.gave_up:
                    self._give_up(track)
        finally:  # also after `Rejected`: the texts before it count
            for transcript in self.transcripts.values():
                for text in transcript.take():
                    emit(text)
        if self._fallback is not None:
            self._fallback.collect(emit)
        due = min((track.due for track in self._tracks.values()), default=inf)
        self.host.alarm(min(due, self._fallback_due))

    def close(self) -> None:
        for track in self._tracks.values():
            track.close()
        if self._fallback is not None:
            self._fallback.close()

    # The host of the fallback driver; the node's one alarm serves both drivers.

    def wake(self) -> None:
        self.host.wake()

    def now(self) -> float:
        return self.host.now()

    def source_waits(self) -> bool:
        return self.host.source_waits()

    def alarm(self, when: float, /) -> None:
        self._fallback_due = when

    def _new_track(self, chunk: Audio) -> StreamingTrack:
        track = self._tracks[chunk.track] = StreamingTrack(
            self.engine,
            ReplayBuffer(chunk.encoding, chunk.rate, self.backlog),
            self.transcripts[chunk.track],
            self.report,
            self.host.wake,
            RetryPolicy(random),
            self.interim,
            self.make_fallback is not None,
            self.usage,
            self.phrases,
        )
        return track

    def _give_up(self, track: StreamingTrack) -> None:
        """Hand the track to the fallback, from the first sample without a final text on."""
        assert self.make_fallback is not None  # noqa: S101  # else the track would not have given up
        if self._fallback is None:
            self._fallback = self.make_fallback(self)
        name = track.transcript.track
        del self._tracks[name]
        converter = self._converters[name] = Converter()
        for chunk in track.remaining_audio():
            self._push_fallback(converter.convert(chunk))
        if self._close_by < inf:
            self._flush_fallback()

    def _push_fallback(self, chunks: list[Audio]) -> None:
        assert self._fallback is not None  # noqa: S101
        for chunk in chunks:
            self._fallback.push(chunk)

    def _flush_fallback(self) -> None:
        if self._fallback is not None:
            for converter in self._converters.values():
                self._push_fallback(converter.finish())
            self._fallback.flush(self._close_by)
