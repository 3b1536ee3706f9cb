"""Hear live calls: audio in, sound from a card out."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from flowcore import Audio, Caps, Config, Decibels, Duration, Extra, Format, Live, Rate, Resource, Session, Sink, node
from flowcore.events import LATE, EventType, Reason
from nodes.sound.card import LATENCY_SECONDS
from nodes.sound.mixer import Call, Channels, Choice
from nodes.sound.speaker import Speaker
from nodes.sound.tap_audio import by_party


class MonitorConfig(Config):
    """Calls, parties, volume and device; `flowcore monitor` changes the first three at run time."""

    select: Live[str] = Field("newest", min_length=1)
    """Calls to play: ``newest``, ``all``, ``off``, or the id of one call."""

    channels: Live[Channels] = "mix"
    """``mix``: both parties in both ears; ``stereo``: agent left, customer right; or one party only."""

    volume: Live[Decibels] = Field(Decibels(0), ge=-60, le=20)
    """Gain of the audio; samples beyond full scale are clipped."""

    device: str = ""
    """Part of the output's name as `flowcore devices` lists it, or its index; left out: the default output."""

    rate: Rate = Rate(16000)
    """Sample rate at which the card is opened; 48kHz suits a card without a sound server."""

    delay: Duration = Field(Duration("40ms"), ge=Duration("10ms"), le=Duration("300ms"))
    """Least time that audio waits before it is played, to even out its arrival; the card adds 80 ms."""


@node("monitor")
class Monitor(Sink[Audio, MonitorConfig]):
    """Play calls on a sound card that all calls share; ``flowcore monitor CALL`` selects another call at once.

    The card's clock differs from the callers' clocks: audio plays up to 0.1 % faster or slower to compensate.
    Listening never slows a call. Playout stops while a card is unplugged, and resumes afterwards: the events
    ``speaker_opened``, ``speaker_missing``, ``speaker_lost`` and ``speaker_returned`` report each change once.
    Needs Debian's libportaudio2.

    In: ``Audio``, s16. Out: sound, about 0.13 s later. Audio of a selected call that is not played is dropped as
    ``speaker_missing`` or, where it piled up, as ``late``.

    Example::

        sound: {use: monitor, from: voices, with: {select: newest, channels: stereo}}
    """

    loss = "allowed"
    events = (
        EventType("speaker_opened", "Calls are played.", device="The card's name.", latency_ms="Its latency."),
        EventType("speaker_missing", "There is no sound card.", "warning", device="Its name.", cause="", advice=""),
        EventType("speaker_lost", "The sound card is gone.", "warning", device="The card's name.", cause="", advice=""),
        EventType("speaker_returned", "Calls are played again.", device="The card's name.", latency_ms="Its latency."),
    )
    reasons = (LATE, Reason("speaker_missing", "Audio that no card plays."))

    resource: Speaker
    _call: Call | None = None
    caps = (Caps("audio", ("s16",), (16000,)),)

    @classmethod
    def accepts(cls, config: MonitorConfig) -> tuple[Caps, ...]:
        return (Caps("audio", ("s16",), (int(config.rate),)),)

    @classmethod
    def requires(cls, config: MonitorConfig) -> Sequence[Extra]:
        return (Extra("sounddevice", "monitor"),)

    @classmethod
    def make_resource(cls, config: MonitorConfig) -> Resource:
        return Speaker(config.device, int(config.rate))

    @classmethod
    def latency(cls, config: MonitorConfig, given: Format) -> float:
        return config.delay + LATENCY_SECONDS

    def open(self, session: Session) -> None:
        call_id = session.attributes.get("call_id", "")
        self._call = Call(session.flow, call_id, session.started, _choice(self.config))
        self.resource.mixer.join(self._call)
        self.collect()

    def collect(self) -> None:
        if self._call is not None:
            self._call.silent = self.silent()

    def on_config(self, config: MonitorConfig) -> None:
        super().on_config(config)
        if self._call is not None:
            self.resource.mixer.change(self._call, _choice(config))

    def process(self, chunk: Audio) -> None:
        call = self._call
        if call is None or not call.wanted:
            return
        now = self.now()
        for party, samples in by_party(chunk.track, chunk.samples):
            dropped = self.resource.mixer.push(call, party, samples, now, self.config.delay)
            if dropped:
                reason = "late" if self.resource.playing else "speaker_missing"
                self.report.dropped(reason, dropped / chunk.rate / chunk.channels, chunks=0)

    def close(self) -> None:
        if self._call is not None:
            self.resource.mixer.leave(self._call)
            self._call = None


def _choice(config: MonitorConfig) -> Choice:
    return Choice(config.select, config.channels, 10 ** (config.volume / 20))
