"""Random calls with everything that networks and phone systems do to packets, and what a jitter buffer must keep.

Each call is known to the sample: packets of noise, each with the time at which it was spoken. Numbers are given in the
order in which packets reach the gateway, after stalls and batches; loss, reordering and repeats come behind it.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from flowcore import Packet
from flowcore.testing import NodeHarness
from nodes.transforms.reorder import Reorder

RATE = 8000
T0 = 86_400.0
SECONDS = 16.0
TRACKS = ("agent", "customer")
LENGTHS = (40, 80, 160, 160, 160, 240, 320, 480, 800, 1600, 4000)
PACKETS_COUNTED = ("own 1", "own 2", "shared 1", "shared 2")
IRREGULAR: dict[str, Callable[[random.Random, int], int]] = {  # the n-th number of a party
    "random": lambda rng, count: rng.randrange(1 << 31),
    "random 16 bit": lambda rng, count: rng.randrange(1 << 16),
    "descending": lambda rng, count: (1 << 20) - count,
    "two counters by turns": lambda rng, count: count + 10_000 * (count % 2),
    "irregular steps": lambda rng, count: 50 * count + rng.randrange(50),
    "small irregular steps": lambda rng, count: 5 * count + rng.randrange(5),
    "shuffled": lambda rng, count: (count & ~31) + (13 * count + 5) % 32,
    "milliseconds and jitter": lambda rng, count: 20 * count + rng.randrange(10),
}
"""Numbers that tell neither the order of the packets nor their pace."""
SCHEMES = (
    *(*PACKETS_COUNTED, "own 1", "shared 1"),
    *("constant", "samples", "milliseconds"),
    *IRREGULAR,
    *(f"{whose} {step}" for whose in ("own", "shared") for step in (3, 20, 160, 320)),
)
NOISE = random.Random(7).randbytes(1 << 22).replace(b"\xff", b"\x00")
LEVEL = 0.0201
"""Seconds by which the parties may be apart."""
LATEST = 0.09
"""Seconds by which a packet that others overtake is late at most: its track's delay is as unsure."""

Stretch = tuple[float, float]


@dataclass
class Sent:
    """One packet: spoken at ``at``, heard at ``arrived`` seconds of the call."""

    track: str
    at: float
    data: bytes
    queued: float  # arrival at the gateway
    arrived: float
    lost: bool = False
    copies: int = 1
    number: int = 0


@dataclass
class Line:
    """What happens to one party, in seconds."""

    length: int
    jitter: float
    skew: float = 0.0
    start: float = 0.0
    withheld: list[Stretch] = field(default_factory=list)
    stalls: list[Stretch] = field(default_factory=list)
    batch: float = 0.0
    phase: float = 0.0


class HostileCall:
    """The call of a ``seed``: `packets` go into the jitter buffer, `faults` says what is wrong with what comes out."""

    def __init__(self, seed: int) -> None:
        self._rng = rng = random.Random(seed)
        jitter = (0.0, 0.0, 0.002, 0.005)
        self.lines = {track: Line(rng.choice(LENGTHS), rng.choice(jitter), phase=rng.random() / 4) for track in TRACKS}
        if rng.random() < 0.4:
            self.lines["customer"].length = self.lines["agent"].length
        self.scheme = rng.choice(SCHEMES)
        self.counts_packets = self.scheme in PACKETS_COUNTED
        if rng.random() < 0.3:
            for line in self.lines.values():
                line.skew = rng.uniform(-3e-4, 3e-4)
        self._withhold()
        self._stall()
        self.batched = rng.random() < 0.12
        for line in self.lines.values():
            line.batch = rng.choice((0.0, 0.1, 0.2, 0.5)) if self.batched else 0.0
        self.loss = rng.choice((0.005, 0.02, 0.1)) if rng.random() < 0.3 else 0.0
        self.reordered = not self.batched and rng.random() < 0.15
        self._repeats = 0.1 if self.scheme != "constant" and rng.random() < 0.15 else 0.0
        self._transfer = rng.uniform(4, 12) if self.scheme.startswith("own") and rng.random() < 0.2 else math.inf
        self.sent = sorted(
            (sent for track in TRACKS for sent in self._spoken(track)), key=lambda sent: (sent.queued, sent.at)
        )
        self._number()
        self._lose()

    @property
    def withheld(self) -> bool:
        """Whether a party sent nothing for a while."""
        return any(line.withheld or line.start for line in self.lines.values())

    def _withhold(self) -> None:
        rng = self._rng
        if rng.random() < 0.45:
            return
        if rng.random() < 0.4:
            self.lines["customer"].start = rng.uniform(0.3, 5)
        at = rng.uniform(1.5, 5) + self.lines["customer"].start
        while at < 11:
            length = rng.uniform(0.35, 2.5)  # a hold, or a sender that leaves out silence
            for track in rng.choice((TRACKS, TRACKS, TRACKS[:1], TRACKS[1:])):
                self.lines[track].withheld.append((at, at + length))
            at += length + rng.uniform(1.5, 5)

    def _stall(self) -> None:
        rng = self._rng
        holds = [hold for line in self.lines.values() for hold in [*line.withheld, (0.0, line.start)] if hold[1]]
        for _ in range(rng.choice((0, 0, 1, 3))):
            begin = rng.uniform(0, 12)
            end = begin + rng.uniform(0.1, 2.5)
            if any(begin < hold[1] + 1.5 and hold[0] < end + 1.5 for hold in holds):
                continue  # the end of a hold during a stall shows nowhere
            for track in rng.choice((TRACKS, TRACKS[:1], TRACKS[1:])):
                stalls = self.lines[track].stalls
                if all(end + 1 < one[0] or one[1] + 1 < begin for one in stalls):
                    stalls.append((begin, end + rng.uniform(0, 0.02)))

    def _spoken(self, track: str) -> list[Sent]:
        rng, line = self._rng, self.lines[track]
        sent: list[Sent] = []
        offset, at, latest = rng.randrange(1 << 20), line.start, 0.0
        seconds = line.length / RATE
        period = seconds * (1 + line.skew)
        while at + period <= SECONDS:
            for begin, end in line.withheld:
                if begin < at + period and at < end:
                    at = end
            latest = max(latest, at + period + 0.02 + rng.uniform(0, line.jitter))
            late = min(seconds + 1e-4, LATEST) if self.reordered and rng.random() < 0.05 else 0.0
            queued = self._queued(line, latest)
            arrived = max(queued, self._queued(line, latest + late))
            begin = offset + len(sent) * line.length
            sent.append(Sent(track, at, NOISE[begin : begin + line.length], queued, arrived))
            at += period
        return sent

    @staticmethod
    def _queued(line: Line, arrived: float) -> float:
        if line.batch:
            arrived = math.ceil((arrived - line.phase) / line.batch - 1e-6) * line.batch + line.phase
        for begin, end in sorted(line.stalls):
            if begin <= arrived < end + 1e-4:
                arrived = end + 1e-4 + 1e-6 * arrived  # all at once, in order
        return arrived

    def _number(self) -> None:
        kind, _, step = self.scheme.partition(" ")
        starts = dict(zip(TRACKS, self._rng.choices((0, 0, 1000, 65_530), k=2), strict=True))
        own: Counter[str] = Counter()
        for total, sent in enumerate(self.sent):
            length = len(sent.data)
            steps = {"constant": 0, "samples": length, "milliseconds": length // 8}
            count, start = (total, 0) if kind == "shared" else (own[sent.track], starts[sent.track])
            if irregular := IRREGULAR.get(self.scheme):
                sent.number = start + irregular(self._rng, own[sent.track])
            else:
                sent.number = start + count * steps.get(kind, int(step or 0)) + 70_000 * (sent.at > self._transfer)
            own[sent.track] += 1

    def _lose(self) -> None:
        rng, left = self._rng, 0
        for sent in self.sent:
            if not left and rng.random() < self.loss:
                left = rng.choice((1, 1, 1, 3))
            sent.lost, left = left > 0, max(0, left - 1)
            sent.copies += rng.random() < self._repeats

    def packets(self) -> list[Packet]:
        """The packets that arrive, in that order."""
        came = sorted((sent for sent in self.sent if not sent.lost), key=lambda sent: (sent.arrived, sent.queued))
        return [
            Packet(sent.track, sent.number, sent.data, T0 + sent.arrived) for sent in came for _ in range(sent.copies)
        ]

    def play(self) -> NodeHarness:
        """The call through a jitter buffer."""
        return NodeHarness(Reorder).push(*self.packets()).end()

    def faults(self, harness: NodeHarness) -> list[str]:
        """What is wrong, in words; empty when all is as it was spoken."""
        events = [name for name, _ in harness.events]
        faults = [f"dropped as {reason}" for reason in harness.dropped_chunks if reason != "duplicate"]
        faults += [] if self.counts_packets == ("numbering_unknown" not in events) else ["scheme taken for another"]
        unheard = self.loss and not self.counts_packets  # a loss that no number shows is a pause
        faults += ["hold that was none"] if not self.withheld and "hold_ended" in events and not unheard else []
        faults += ["silence for no loss"] if not self.loss and "lost" in harness.filled else []
        if not self.counts_packets and (self.loss or self.reordered):
            return faults  # nobody can tell what is missing, or what was overtaken
        offsets = {track: self._offsets(harness, track) for track in TRACKS}
        for track, found in offsets.items():
            expected = [sent for sent in self.sent if sent.track == track and not sent.lost]
            faults += [f"{track} misses packets"] if len(found) < len(expected) * (1 - 0.1 * self._lengthened) else []
        if not self.batched:  # a batch may delay all packets by the same time: nothing tells
            limit = LEVEL + LATEST * self.reordered
            limit += sum(line.length for line in self.lines.values()) / RATE if self.loss else 0.0
            apart = max(
                (
                    abs(offset - offsets["agent"][place][1])
                    for at, offset in offsets["customer"]
                    for place in [np.searchsorted([one for one, _ in offsets["agent"]], at) - 1]
                    if place >= 0 and at - offsets["agent"][place][0] < 0.5
                ),
                default=0.0,
            )
            faults += [f"parties {apart:.3f} s apart"] if apart > limit else []
        return faults

    @property
    def _lengthened(self) -> bool:
        """Whether skew may have been corrected in some packets."""
        return any(line.skew for line in self.lines.values())

    def _offsets(self, harness: NodeHarness, track: str) -> list[tuple[float, float]]:
        """For each packet that is there whole: when it was spoken, and how much later it stands, in seconds."""
        laid, end = bytearray(), 0
        for chunk in harness.out:
            if chunk.track == track:
                assert chunk.start >= end, "positions never go backwards"
                laid += b"\xff" * (chunk.start - end) + chunk.samples.astype(np.uint8).tobytes()
                end = chunk.end
        found, begin = [], 0
        for sent in self.sent:
            if sent.track == track and not sent.lost and (place := laid.find(sent.data, begin)) >= 0:
                found.append((sent.at, place / RATE - sent.at))
                begin = place + len(sent.data)
        return found
