"""Simulate a bad network: lose, corrupt, duplicate, reorder, delay and freeze packets, repeatably."""

from __future__ import annotations

from collections import deque
from random import Random

import msgspec
from pydantic import Field

from flowcore import PACKETS, Config, Duration, Emit, Format, Live, Packet, Session, Transform, impairment, node
from flowcore.events import EventType, Reason


class NetsimConfig(Config):
    """Effects of the network, and the seed of their randomness."""

    corrupt: Live[float] = Field(0.0, ge=0, le=1)
    """Share of the packets whose audio is changed."""

    corrupt_bytes: Live[int] = Field(16, ge=1)
    """Bytes that are changed in such a packet; all bytes of a shorter packet."""

    loss: Live[float] = Field(0.0, ge=0, le=1)
    """Share of the packets that is lost in the long run."""

    loss_burst: Live[int] = Field(1, ge=1)
    """Mean number of packets that are lost in a row."""

    duplicate: Live[float] = Field(0.0, ge=0, le=1)
    """Share of the packets that is sent twice."""

    duplicate_within: int = Field(3, ge=0, le=1000)
    """Maximum number of packets between a packet and its repeat."""

    reorder: Live[float] = Field(0.0, ge=0, le=1)
    """Share of the packets that is held back."""

    reorder_window: Live[Duration] = Field(Duration("60ms"), le=Duration("1min"))
    """The longest time for which a packet is held back."""

    delay: Live[Duration] = Field(Duration(0), le=Duration("1min"))
    """Delay of every packet."""

    jitter: Live[Duration] = Field(Duration(0), le=Duration("1min"))
    """The longest additional delay; all shorter ones are equally likely."""

    freeze: Live[Duration] = Field(Duration(0), le=Duration("1min"))
    """Length of each freeze."""

    freeze_every: Live[Duration] = Field(Duration("10s"), ge=Duration("10ms"))
    """Mean time from the end of a freeze to the next one, which takes between 0.5 and 1.5 times as long."""

    seed: int = 0
    """Seed of all random effects."""


@node("netsim")
class Netsim(Transform[Packet, Packet, NetsimConfig]):
    """Impair packets as a network does. Each effect is off by default.

    In: ``Packet``, stamped in order. Out: the packets that are left, each with the time at which it leaves as its time
    of arrival. The effects work in this order:

    1. ``corrupt`` changes bytes: such a packet counts as dropped and as filled (``corrupted``).
    2. ``loss`` drops packets (``simulated_loss``), single or in bursts (the model of Gilbert, 1960). Both parties share
       the line, so a burst hits both.
    3. ``duplicate`` sends packets again with the same sequence number and counts them as filled (``duplicated``).
    4. ``reorder`` holds packets back so that others overtake them. Event ``packets_reordered`` at the end: how many.
    5. ``delay`` and ``jitter`` delay packets without changing their order, as one TCP connection does. Event
       ``packets_delayed`` at the end: the longest delay.
    6. ``freeze`` stops the line now and then; the packets it held leave together. Event ``packets_frozen`` each time.

    The clock is that of the arrival stamps, so held packets wait during a pause. The same ``seed`` repeats the same
    effects, but each call has its own. Each effect draws from its own generator, once for each packet that arrives, so
    switching one effect on does not change what another one does to a packet.

    Example::

        bad: {use: netsim, from: packets, with: {loss: 0.02, loss_burst: 3, jitter: 40ms, seed: 7}}
    """

    caps = (PACKETS,)
    balanced = True
    events = (
        EventType("packets_reordered", "Total at the end: packets that ``reorder`` held back.", packets="How many."),
        EventType("packets_delayed", "Total at the end.", longest="The longest delay, in seconds."),
        EventType("packets_frozen", "A freeze is over.", packets="How many were held.", length="Its length."),
    )
    reasons = (
        Reason("corrupted", "Changed packets: the original is dropped, the changed one filled in.", lost=False),
        Reason("simulated_loss", "Packets that ``loss`` lost; the receiver misses them.", lost=False),
        Reason("duplicated", "Packets that ``duplicate`` sent again.", lost=False),
    )

    @classmethod
    def latency(cls, config: NetsimConfig, given: Format) -> float:
        return (config.reorder_window if config.reorder else 0.0) + config.delay + config.jitter + config.freeze

    @classmethod
    def typical_latency(cls, config: NetsimConfig, given: Format) -> float:
        return config.delay + config.jitter / 2

    def __init__(self, config: NetsimConfig) -> None:
        super().__init__(config)
        self._now = 0.0
        self._repeats: deque[list[Packet]] = deque([] for _ in range(config.duplicate_within + 1))
        self._reordering = impairment.DelayQueue[tuple[Packet, float]]()  # a packet and its jitter
        self._reordered = 0
        self._delaying = impairment.DelayQueue[Packet]()
        self._due = float("-inf")  # when the latest packet is due: none overtakes it
        self._longest = 0.0
        self._frozen: list[Packet] = []
        self._freeze_begin = self._freeze_end = float("inf")  # of the next or the current freeze

    def open(self, session: Session) -> None:
        def rng(effect: str) -> Random:
            return impairment.call_rng(f"netsim {effect}", self.config.seed, session)

        self._loss = impairment.GilbertLoss(self.config.loss, self.config.loss_burst, rng("loss"))
        self._corrupt_rng, self._duplicate_rng, self._freeze_rng = rng("corrupt"), rng("duplicate"), rng("freeze")
        self._rngs = rng("reorder"), rng("jitter")
        self._repeat_rngs = rng("reorder of repeats"), rng("jitter of repeats")

    def on_config(self, config: NetsimConfig) -> None:
        super().on_config(config)
        self._loss.change(config.loss, config.loss_burst)

    def process(self, packet: Packet, emit: Emit[Packet]) -> None:
        self._now = packet.arrived
        if self.config.freeze and self._freeze_end == float("inf"):
            self._freeze_after(self._now)
        # Each effect draws before a packet may be lost, so that what it draws next does not depend on the loss.
        packet = self._corrupted(packet)
        wait, jitter = self._delays(*self._rngs)
        repeats = self._duplicate_rng.random() < self.config.duplicate
        place = self._duplicate_rng.randint(0, self.config.duplicate_within) if repeats else 0
        if self._loss.lost():
            self.report.dropped("simulated_loss", packet.seconds)
        else:
            self._reorder(packet, wait, jitter)
            if repeats:
                self._repeats[place].append(packet)
        self._repeat()
        self._repeats.append([])
        self._release(self._now, emit)
        self._thaw(self._now, emit)

    def flush(self, emit: Emit[Packet]) -> None:
        while self._repeats:
            self._repeat()
        self._release(float("inf"), emit)
        if self._frozen:
            self._thaw(self._freeze_end, emit)
        if self._reordered:
            self.report.event("packets_reordered", packets=self._reordered)
        if self._longest:
            self.report.event("packets_delayed", longest=round(self._longest, 3))

    def _corrupted(self, packet: Packet) -> Packet:
        rng = self._corrupt_rng
        if rng.random() >= self.config.corrupt:
            return packet
        data = bytearray(packet.data)
        for at in rng.sample(range(len(data)), min(self.config.corrupt_bytes, len(data))):
            data[at] ^= rng.randint(1, 255)
        self.report.dropped("corrupted", packet.seconds)
        self.report.filled("corrupted", packet.seconds, 1)
        return msgspec.structs.replace(packet, data=bytes(data))

    def _delays(self, reorder: Random, jitter: Random) -> tuple[float, float]:
        """Draw the seconds for which these two effects hold a packet."""
        held, wait = reorder.random() < self.config.reorder, reorder.random()
        return held * wait * self.config.reorder_window, jitter.random() * self.config.jitter

    def _repeat(self) -> None:
        """Send the repeats that are due after this packet."""
        for packet in self._repeats.popleft():
            self.report.filled("duplicated", packet.seconds, 1)
            self._reorder(packet, *self._delays(*self._repeat_rngs))

    def _reorder(self, packet: Packet, wait: float, jitter: float) -> None:
        self._reordered += wait > 0
        self._reordering.hold((packet, jitter), self._now + wait)

    def _release(self, now: float, emit: Emit[Packet]) -> None:
        """Pass on the packets that are due, one effect after the other."""
        for time, (packet, jitter) in self._reordering.release(now):
            self._due = max(self._due, time + self.config.delay + jitter)
            self._longest = max(self._longest, self._due - time)
            self._delaying.hold(packet, self._due)
        for due, packet in self._delaying.release(now):
            self._thaw(due, emit)
            if due >= self._freeze_begin:
                self._frozen.append(packet)
            else:
                emit(msgspec.structs.replace(packet, arrived=due))

    def _thaw(self, now: float, emit: Emit[Packet]) -> None:
        """End the freezes that are over at ``now``, and emit the packets that they held."""
        while now >= self._freeze_end:
            if self._frozen:
                self.report.event("packets_frozen", packets=len(self._frozen), length=str(self.config.freeze))
            for packet in self._frozen:
                emit(msgspec.structs.replace(packet, arrived=self._freeze_end))
            self._frozen.clear()
            self._freeze_after(self._freeze_end)

    def _freeze_after(self, time: float) -> None:
        self._freeze_begin = time + (0.5 + self._freeze_rng.random()) * self.config.freeze_every
        self._freeze_end = self._freeze_begin + self.config.freeze
