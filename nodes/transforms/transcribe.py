"""Transcribe speech: audio in, interim and final texts of each party out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from flowcore import (
    Audio,
    Caps,
    Config,
    Duration,
    Emit,
    Extra,
    Format,
    Live,
    Session,
    SessionText,
    Text,
    Transform,
    node,
)
from flowcore.audio import TRACKS
from flowcore.events import DECODERS_STARTED, EventType, Reason
from flowcore.speech import DECODER_RATE, Streamer
from nodes.speech.cloud.streaming_driver import StreamerResource, StreamingDriver
from nodes.speech.cloud.streaming_track import STALL_TIMEOUT
from nodes.speech.driver import FLUSH_TIMEOUT, Driver, DriverHost, Transcripts
from nodes.speech.engine_choice import SpeechEngine
from nodes.speech.local.segmenter import SegmentLimits
from nodes.speech.local.utterance_driver import DecoderResource, UtteranceDriver
from nodes.speech.local.voice_detector import VoiceModel
from nodes.speech.usage import AUDIO_SENT, DECODER_LOAD, DECODER_WAIT

LAYOUTS = ("tracks", "stereo", "mono")
LINEAR = Caps("audio", ("s16",), (DECODER_RATE,), LAYOUTS)
TELEPHONE = Caps("audio", ("mulaw",), (8000,), LAYOUTS)


def _default_interim(fields: dict[str, Any]) -> Duration:
    """Return the default of ``interim`` for the ``engine`` among ``fields``."""
    engine = fields.get("engine")  # missing if it is wrong
    text_is_request = engine is not None and not (engine.streams or engine.is_local)
    return Duration("0s" if text_is_request else "2s")


class TranscribeConfig(Config):
    """The speech engine, and the bounds of utterances."""

    engine: SpeechEngine = Field("moonshine", validate_default=True)
    """The speech engine: ``moonshine`` (on this machine, English, no account), ``whisper`` (on this machine),
    ``google``, ``openai`` or ``openai_realtime`` (OpenAI, or any server with its API), or an installed one; with its
    own config: ``{use: google, language: de-DE}``."""

    fallback: SpeechEngine | None = None
    """An engine on this machine that takes over for the rest of the call after an engine in the network has failed
    for 10 s, or has reported a used-up quota three times in a row."""

    interim: Live[Duration] = Field(default_factory=_default_interim)
    """Time between interim texts of an utterance, more in a long one: each is decoded from the start of the utterance.
    The first comes as early as there are words. ``0s`` gives final texts only: the default with a
    service for whole utterances, where each text is a request. With all other engines the default is ``2s``."""

    phrases: Live[Annotated[tuple[SessionText, ...], Field(max_length=500)]] = ()
    """Words to expect, such as names and products, which the engine prefers over similar sounds: for ``moonshine``,
    ``whisper``, ``google``, ``openai`` and ``openai_realtime``. With attributes of the call in braces,
    such as ``{product_id}``; a phrase whose attribute has no value is left out."""

    uncertain_below: Live[Annotated[float, Field(ge=0, le=1)]] = 0.5
    """Confidence (the expected share of right words) below which a final text is marked ``uncertain``; 0 marks none."""

    threshold: Live[Annotated[float, Field(gt=0, lt=1)]] = 0.3
    """Mean probability of voice above which there is speech."""

    pause: Live[Annotated[Duration, Field(ge=0.1, le=3)]] = Duration("100ms")
    """The pause that ends an utterance with twice ``enough`` speech or more."""

    long_pause: Live[Annotated[Duration, Field(ge=0.1, le=5)]] = Duration("700ms")
    """The pause that ends one with less than ``enough``: engines recognise a few words alone less well."""

    enough: Live[Duration] = Duration("3500ms")
    """Amount of speech from which the ending pause gets shorter; ``0s`` gives the quickest final texts."""

    pre_roll: Live[Annotated[Duration, Field(le=3)]] = Duration("500ms")
    """Audio before the detection of a voice that belongs to an utterance."""

    max_segment: Live[Annotated[Duration, Field(ge=2, le=30)]] = Duration("12s")
    """Length at which an utterance is cut at its last quiet place, although the voice goes on."""

    max_wait: Annotated[Duration, Field(ge=1)] = Duration("15s")
    """How long an utterance may wait for a decoder, or for a request to a service for whole utterances, before it is
    left ``untranscribed``. A file that is played faster than real time waits instead."""

    backlog: Annotated[Duration, Field(ge=10)] = Duration("2min")
    """Audio of each party that is kept for an engine in the network, which may need it again; what is older is left
    ``untranscribed``. Such an engine is no faster than real time: play files to it at ``speed: 1``."""

    processes: Annotated[int, Field(ge=1, le=512)] | Literal["auto"] = "auto"
    """Number of decoding processes, ``auto`` for one per core; or of requests at once to a service for whole
    utterances, ``auto`` for 16."""

    @model_validator(mode="after")
    def _only_streams_fall_back(self) -> Self:
        if self.fallback is not None and not (self.engine.streams and self.fallback.is_local):
            raise ValueError("fallback is an engine on this machine, for one that streams to a service, such as google")
        return self

    @model_validator(mode="after")
    def _engine_takes_phrases(self) -> Self:
        if self.phrases and not self.engine.make().takes_phrases:
            raise ValueError(f"{self.engine} takes no phrases: leave them out, or take another engine")
        return self


@node("transcribe")
class Transcribe(Transform[Audio, Text, TranscribeConfig]):
    """Transcribe each party separately: one node for both.

    For an engine on this machine, audio is cut into utterances at pauses and decoded in processes that all calls share:
    final texts before interim ones, which get rarer under load. For an engine in the network, each party has a stream,
    which is renewed, ended in a hold, and repeated after errors, without a word lost or repeated. Audio that cannot be
    transcribed is marked by a ``Text`` with the ``gap`` ``untranscribed``.

    In: ``Audio`` of both parties, as tracks or as stereo (agent left, customer right), or of one party; in a format of
    the engine: s16 at 16 kHz, or mulaw as it came. Out: ``Text`` of each party with the times of its voice: interim
    ones while an utterance is spoken, then a final one, which is empty if there were no words after all. For parties
    with different engines, put `split` before two nodes. A change of a live field holds for the next utterance, or the
    next stream to a provider; for one of the voice detector (``threshold``, ``pause``, …) at once.

    Example::

        words: {use: transcribe, from: voices, with: {engine: moonshine, interim: 1s}}
    """

    caps: ClassVar = (LINEAR, TELEPHONE)
    runs: ClassVar = "thread"  # the voice detector takes 75 µs per 32 ms
    loss: ClassVar = "allowed"
    events: ClassVar = (
        DECODERS_STARTED,
        EventType("decoder_replaced", "A decoder process died or hung; another one decodes again.", cause=""),
        EventType(
            "utterances_skipped",
            "Speech of a call waited for a decoder longer than ``max_wait``; told every 10 s at most.",
            "warning",
            utterances="How many since the last event.",
            seconds="Their length.",
        ),
        EventType("decode_failed", "An engine could not decode an utterance.", cause=""),
        EventType(
            "stream_failed", "A provider ended a stream; its audio is sent again.", "warning", reason="", detail=""
        ),
        EventType("fallback_started", "``fallback`` transcribes the rest of the call.", "warning", reason=""),
    )
    reasons: ClassVar = (
        Reason("stale_interim", "Speech whose interim text came too late to be of use; its final comes.", lost=False),
        Reason("overloaded", "Utterances that waited for a decoder longer than ``max_wait``."),
        Reason("decode_failed", "Utterances that the engine could not decode."),
        Reason("untranscribed", "Speech that was not transcribed: the provider failed, or the call ended first."),
    )
    metrics: ClassVar = (AUDIO_SENT, DECODER_WAIT, DECODER_LOAD)
    resource: DecoderResource | StreamerResource

    @classmethod
    def accepts(cls, config: TranscribeConfig) -> tuple[Caps, ...]:
        engine = config.engine.make()
        if not isinstance(engine, Streamer):
            return (LINEAR,)
        return tuple(Caps("audio", (form,), (rate,), LAYOUTS) for form, rate in engine.limits.formats)

    @classmethod
    def requires(cls, config: TranscribeConfig) -> Sequence[Extra]:
        engines = [config.engine, *([config.fallback] if config.fallback else [])]
        voice = () if all(engine.streams for engine in engines) else VoiceModel.REQUIRES
        return (*(extra for engine in engines for extra in engine.cls.REQUIRES), *voice)

    @classmethod
    def make_resource(cls, config: TranscribeConfig) -> DecoderResource | StreamerResource:
        def decoder(engine: SpeechEngine) -> DecoderResource:
            processes = 0 if config.processes == "auto" else config.processes
            return DecoderResource(engine.decoder, engine.config, processes, config.max_wait)

        if not config.engine.streams:
            return decoder(config.engine)
        return StreamerResource(config.engine, decoder(config.fallback) if config.fallback else None)

    @classmethod
    def gives(cls, config: TranscribeConfig, given: Format) -> Format:
        return Format("text")

    @classmethod
    def latency(cls, config: TranscribeConfig, given: Format) -> float:
        return STALL_TIMEOUT if config.engine.streams else config.max_segment

    @classmethod
    def typical_latency(cls, config: TranscribeConfig, given: Format) -> float:
        # The first words of an utterance; an engine's own time comes to it.
        return min(config.interim, config.long_pause) if config.interim else config.long_pause

    def open(self, session: Session) -> None:
        self._session = session
        self._transcripts = Transcripts(self.now, self.config.uncertain_below)
        self._driver: Driver
        self._fallback: UtteranceDriver | None = None
        if not isinstance(self.resource, StreamerResource):
            self._driver = self._utterance_driver(self.resource, self, self._phrases())
            return
        local = self.resource.fallback
        self._driver = StreamingDriver(
            self,
            self.resource.streamer,
            self.config.backlog,
            bool(self.config.interim),
            self._transcripts,
            partial(self._make_fallback, local) if local else None,
            self.resource.usage,
            self._phrases(),
        )

    def on_config(self, config: TranscribeConfig) -> None:
        super().on_config(config)
        self._transcripts.change(config.uncertain_below)
        self._driver.change(self._limits(), config.interim, self._phrases())
        if self._fallback is not None:
            self._fallback.change(self._limits(), config.interim, self._fallback_phrases())

    def _phrases(self) -> tuple[str, ...]:
        resolved = (phrase.resolve(self._session) for phrase in self.config.phrases)
        return tuple(dict.fromkeys(filter(None, resolved)))

    def _fallback_phrases(self) -> tuple[str, ...]:
        backup = self.config.fallback
        return self._phrases() if backup and backup.make().takes_phrases else ()

    def _make_fallback(self, resource: DecoderResource, host: DriverHost) -> UtteranceDriver:
        self._fallback = self._utterance_driver(resource, host, self._fallback_phrases())
        return self._fallback

    def _utterance_driver(
        self, resource: DecoderResource, host: DriverHost, phrases: tuple[str, ...]
    ) -> UtteranceDriver:
        interim, flow = self.config.interim, self._session.flow
        return UtteranceDriver(host, resource, self._limits(), interim, self._transcripts, phrases, flow)

    def _limits(self) -> SegmentLimits:
        c = self.config
        return SegmentLimits(c.threshold, c.pause, c.long_pause, c.enough, c.pre_roll, c.max_segment)

    def process(self, chunk: Audio, emit: Emit[Text]) -> None:
        for party in _parties(chunk):
            self._driver.push(party)
        self._driver.collect(emit)

    def flush(self, emit: Emit[Text]) -> None:
        self._driver.flush(self.now() + FLUSH_TIMEOUT)
        self._driver.collect(emit)

    def busy(self) -> bool:
        return self._driver.busy()

    def awaits_results(self) -> bool:
        return self._driver.awaits_results()

    def collect(self, emit: Emit[Text]) -> None:
        self._driver.collect(emit)

    def close(self) -> None:
        if hasattr(self, "_driver"):
            self._driver.close()
            self._fallback = None


def _parties(chunk: Audio) -> Iterator[Audio]:
    """Yield the chunk of one track as it is, and that of a stereo stream as one chunk of each party."""
    if chunk.samples.ndim == 1:
        yield chunk
        return
    for samples, track in zip(chunk.samples.T, TRACKS, strict=True):
        yield chunk.replace(samples=np.ascontiguousarray(samples), track=track)
