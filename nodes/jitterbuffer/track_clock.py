"""The clock of one track: where its media stands, when it is expected, and what waits until that is decided."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from flowcore import Packet
from flowcore.audio import TELEPHONE_RATE as RATE
from nodes.jitterbuffer.drift import Pace

SAMPLE_SECONDS = 1 / RATE

BURST_SECONDS = 0.5
"""Media of the first track of a call, in seconds, that is placed although its arrivals cover less time."""

MAX_BATCH_SECONDS = 1.25
"""Stalls that follow each other within so many seconds are a sender's batches."""

CATCH_UP_RATE = 0.5
"""A stalled network delivers at least this much faster than speech, in seconds of lag per second."""


class Waiting(NamedTuple):
    """A packet that is kept back."""

    order: int  # of its coming, over all tracks
    start: int  # in samples, before its track is shifted
    data: bytes
    lag: float | None  # behind what was expected, in seconds; for a track that joins, its delay; None: silence


class TrackClock(Pace):
    """One track's media position and expected delay. A packet of `length` that arrives by `until` is in time.

    A caller that places packets itself lowers `least` to their delay, in seconds: `nodes.jitterbuffer.drift`.
    """

    __slots__ = (
        "arrived",
        "batch",
        "began",
        "collapsed",
        "crept",
        "delay",
        "late_at",
        "length",
        "looked",
        "lowest",
        "lowest_before",
        "on_time",
        "owed",
        "position",
        "stall",
        "until",
        "waiting",
    )

    def __init__(self, name: str, position: int, collapsed: int) -> None:
        super().__init__(name)
        self.position = position  # of its next packet, in samples since the call began, held-back ones included
        self.length = 0  # of its latest packet, in samples
        self.collapsed = collapsed  # samples of holds that were left out
        self.delay: float | None = None  # expected arrival of a packet minus its end, in seconds; None while it joins
        self.crept = position  # up to where the expected delay has risen with it
        self.until = float("-inf")
        self.owed = 0  # samples by which holds that it shared were shorter than its own, so that they do not add up
        self.batch = 0.0  # lag of packets that start a batch, in seconds
        self.on_time = float("-inf")  # arrival of the latest packet that was less than a pause late
        self.late_at = 0  # position of the latest packet that was more than that late
        self.stall = (float("-inf"), 0.0)  # arrival and lag of the first packet of the latest stall, in seconds
        self.waiting: list[Waiting] = []  # until it is decided where they belong
        self.began = self.arrived = 0.0  # arrivals of the first and of the latest of them
        self.lowest = 0.0  # least lag of them, in seconds
        self.looked = 0.0  # arrival of the first of them, or when they were last seen to catch up
        self.lowest_before = 0.0  # lag of the first of them, or the least then

    @property
    def media_waiting(self) -> int:
        """Samples that wait."""
        return self.position - self.waiting[0].start

    @property
    def late_by(self) -> float:
        """Seconds by which the waiting packets of a known clock are late at least; 0 without any."""
        return self.lowest if self.waiting and self.delay is not None else 0.0

    def begin_to_wait(self, arrived: float, lag: float) -> None:
        """The next packet, with this lag in seconds, is the first that is kept back."""
        self.began = self.looked = arrived
        self.late_at = self.position
        self.lowest = self.lowest_before = lag
        self.until = float("-inf")

    def keep(self, order: int, start: int, data: bytes, lag: float | None) -> None:
        """Keep a packet back, or silence for a lost one, which has no lag."""
        self.waiting.append(Waiting(order, start, data, lag))

    def lags(self) -> list[float]:
        """Lags of the waiting packets, in seconds."""
        return [packet.lag for packet in self.waiting if packet.lag is not None]

    def is_burst(self) -> bool:
        """Whether much more waits than the latest packet."""
        return self.media_waiting - self.length >= BURST_SECONDS * RATE

    def catches_up(self, now: float) -> bool:
        """Whether what came by ``now`` came much faster than speech, as after a stall of the network."""
        return self.lowest_before - self.lowest > CATCH_UP_RATE * (now - self.looked)

    def batch_lag(self, arrived: float) -> float:
        """The lag, in seconds, that batches explain in a packet that arrived now.

        A batch ends on time, and the next one is late again: a lag that stays is a hold, and one that is gone for long
        was no batch.
        """
        if (self.position - self.late_at) > 2 * MAX_BATCH_SECONDS * RATE:
            self.batch = 0.0
        return self.batch if arrived - self.on_time <= MAX_BATCH_SECONDS else 0.0

    def learn_batch(self, lag: float) -> None:
        """Learn from a stall that began with this lag, in seconds: one soon after another is a sender's batch."""
        began, before = self.stall
        if self.began - began <= MAX_BATCH_SECONDS:
            self.batch = max(self.batch, min(lag, before, MAX_BATCH_SECONDS))
        self.stall = (self.began, lag)

    def gap(self, held: Sequence[Packet], now: float) -> float:
        """Seconds by which the next packets, ``held``, come later than those before them; without any, than ``now``."""
        expected = self.lowest if self.delay is None else self.delay + self.late_by
        if not held:
            return now - self.position * SAMPLE_SECONDS - expected
        ends = accumulate((len(packet.data) for packet in held), initial=self.position)
        next(ends)
        return min(packet.arrived - end * SAMPLE_SECONDS for packet, end in zip(held, ends, strict=True)) - expected

    def latest_before(self, order: int) -> int:
        """Start of the latest waiting packet that came before the one with this place in the order."""
        return max((packet.start for packet in self.waiting if packet.order < order), default=0)

    def uncertainty(self) -> float:
        """How far the least lag of what waits may be from the true one, in seconds.

        Its distance to the third least, and as far as packets overtook each other.
        """
        lags = self.lags()
        arrivals = [
            packet.lag + (packet.start + len(packet.data)) * SAMPLE_SECONDS
            for packet in self.waiting
            if packet.lag is not None
        ]
        overtaken = max(latest - arrived for latest, arrived in zip(accumulate(arrivals, max), arrivals, strict=True))
        return max(sorted(lags)[min(2, len(lags) - 1)] - self.lowest, overtaken) + SAMPLE_SECONDS / 2
