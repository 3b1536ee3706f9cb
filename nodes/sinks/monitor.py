"""Hear live calls: sound in, the loudspeaker out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from flowcore import Audio, Caps, Config, Decibels, Duration, Extra, Format, Rate, Resource, Session, Sink, node
from flowcore.audio import TRACKS
from flowcore.events import LATE, EventType, Reason
from nodes.sound.card import LATENCY
from nodes.sound.mixer import Call, Choice
from nodes.sound.speaker import Speaker


class MonitorConfig(Config):
    """What is heard, how, and where; `flowcore monitor` changes the first three while it runs."""

    select: str = Field("newest", min_length=1)
    """Which calls: ``newest``, ``all``, ``off``, or the id of one."""

    channels: Literal["mix", "stereo", "agent", "customer"] = "mix"
    """Both parties in both ears; the agent left and the customer right; or one party."""

    volume: Decibels = Field(Decibels(0), ge=-60, le=20)
    """How much louder, or softer with a minus; too loud is clipped."""

    device: str = ""
    """A part of the output's name, or its number, as `flowcore devices` lists them; left out: the default one."""

    rate: Rate = Rate(16000)
    """Sample rate at which the card is opened: 48kHz suits one that no sound server stands before."""

    delay: Duration = Field(Duration("40ms"), ge=Duration("10ms"), le=Duration("300ms"))
    """How long audio waits here at least, so that what comes unevenly is played evenly; the card adds 80 ms."""


@node("monitor")
class Monitor(Sink[Audio, MonitorConfig]):
    """Play calls on a sound card, which all calls share; another one is heard at once: ``flowcore monitor CALL``.

    The card's clock is not the callers': the audio is played up to 0.1 % faster or slower to make up for it. Listening
    never slows a call, and goes on through a card that is unplugged: events ``speaker_opened``, ``speaker_missing``,
    ``speaker_lost`` and ``speaker_returned`` say so once each. Needs Debian's libportaudio2.

    In: ``Audio``, s16. Out: sound, about 0.13 s later. What is not played of a call that is heard is dropped as
    ``speaker_missing`` or, where it piled up, as ``late``.

    Example::

        sound: {use: monitor, from: voices, with: {select: newest, channels: stereo}}
    """

    loss = "allowed"
    events = (
        EventType("speaker_opened", "Calls are played.", device="The card's name.", latency_ms="The card's latency."),
        EventType("speaker_missing", "There is no card.", "warning", device="The card's name.", cause="", advice=""),
        EventType("speaker_lost", "The card is gone.", "warning", device="The card's name.", cause="", advice=""),
        EventType(
            "speaker_returned", "Calls are played again.", device="The card's name.", latency_ms="The card's latency."
        ),
    )
    reasons = (LATE, Reason("speaker_missing", "Audio that no card plays."))

    resource: Speaker

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
        return config.delay + LATENCY

    def __init__(self, config: MonitorConfig) -> None:
        super().__init__(config)
        self._call: Call | None = None

    def open(self, session: Session) -> None:
        config = self.config
        choice = Choice(config.select, config.channels, 10 ** (config.volume / 20))
        self._call = Call(session.flow, session.attributes.get("call_id", ""), session.started, choice)
        self.resource.mixer.join(self._call)

    def process(self, chunk: Audio) -> None:
        call = self._call
        if call is None or not call.wanted:
            return
        parties = [(chunk.track, chunk.samples)]
        if chunk.channels == 2:
            parties = [(party, chunk.samples[:, channel]) for channel, party in enumerate(TRACKS)]
        now = self.now()
        for party, samples in parties:
            dropped = self.resource.mixer.push(call, party, samples, now, self.config.delay)
            if dropped:
                reason = "late" if self.resource.playing else "speaker_missing"
                self.report.dropped(reason, dropped / chunk.rate / chunk.channels, chunks=0)

    def close(self) -> None:
        if self._call is not None:
            self.resource.mixer.leave(self._call)
            self._call = None
