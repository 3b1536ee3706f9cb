"""Remove the voice of each party from the channel of the other one."""

from __future__ import annotations

from math import log10
from typing import ClassVar

from flowcore import Audio, Caps, Config, Duration, Emit, EventType, Format, Transform, node
from flowcore.audio import TRACKS
from nodes.echo.canceller import BLOCK_SECONDS, MAX_HELD
from nodes.echo.party import Party

SAME_DELAY = 0.02
"""Seconds by which the delay of an echo may change before it is a new one."""


class EchoCancelConfig(Config):
    """Patience with a late party."""

    wait: Duration = Duration("1s")
    """How far one party may be ahead of the other before the other counts as silent; at least the length of two
    chunks."""


@node("echo_cancel")
class EchoCancel(Transform[Audio, Audio, EchoCancelConfig]):
    """Remove each party's echo, up to 0.5 s late and at least 10 dB softer than the voice, from the other's channel.

    The echo is subtracted, and its rest becomes silence while the party itself is silent. A call without an echo passes
    unchanged. Audio 6 dB softer than the other party's, which may be the beginning of an echo, waits 0.6 s at most. Put
    the node before ``transcribe`` only: a recording should have what was on the line.

    In: ``Audio``, s16, any rate, as tracks. Out: the same, sample for sample. A single track passes unchanged.

    Example::

        clean: {use: echo_cancel, from: voices}
    """

    caps: ClassVar = (Caps("audio", ("s16",), layouts=("tracks",)),)
    runs: ClassVar = "thread"  # a fit of the echo's path takes 5 ms
    loss: ClassVar = "allowed"
    balanced: ClassVar = True
    events: ClassVar = (
        EventType(
            "echo_found",
            "A party's channel has the voice of the other; it is removed from here on.",
            track="The party in whose channel the echo is.",
            seconds="How late it is.",
            gain="Its power relative to the voice, in dB.",
        ),
    )

    @classmethod
    def latency(cls, config: EchoCancelConfig, given: Format) -> float:
        return config.wait + BLOCK_SECONDS * (MAX_HELD + 1)

    @classmethod
    def typical_latency(cls, config: EchoCancelConfig, given: Format) -> float:
        return BLOCK_SECONDS

    def __init__(self, config: EchoCancelConfig) -> None:
        super().__init__(config)
        self._parties: dict[str, Party] = {}
        self._reported: dict[str, float] = {}

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        if chunk.track not in TRACKS:
            emit(chunk)
            return
        if not self._parties:
            self._begin(chunk.rate)
        self._parties[chunk.track].add(chunk)
        agent, customer = self._parties.values()
        agent.advance(customer.history.end, emit)
        customer.advance(agent.history.end, emit)
        self._report(chunk.rate)

    def flush(self, emit: Emit[Audio]) -> None:
        for party in self._parties.values():
            party.flush(emit)

    def _begin(self, rate: int) -> None:
        agent, customer = (Party(track, rate, self.config.wait.samples(rate)) for track in TRACKS)
        agent.cancel(customer.history)
        customer.cancel(agent.history)
        self._parties = {agent.track: agent, customer.track: customer}

    def _report(self, rate: int) -> None:
        for track, party in self._parties.items():
            if path := party.canceller.path:
                delay = path.delay / rate
                if abs(self._reported.get(track, -1.0) - delay) > SAME_DELAY:
                    self._reported[track] = delay
                    gain = round(10 * log10(max(path.gain, 1e-9)))
                    self.report.event("echo_found", track=track, seconds=round(delay, 3), gain=gain)
