"""Doubts whether the numbers still count packets: how many of the latest do not fit, and the packets to drop for it.

Loss, reordering, repeats and restarts leave most numbers as expected. Where more than a quarter is not, for as many
packets as a restart never doubts, the scheme must be learnt anew. Packets to be dropped wait until that is settled.
"""

from __future__ import annotations

from typing import Protocol

from flowcore import Packet, Report

EXPECTED_PER_DOUBT = 3
"""Expected packets that make up for one that is not: a quarter of all may be unexpected for ever."""

RESTART_WEIGHT = 3
"""Doubts in a count that starts anew: at least so many packets did not fit."""

MAX_DOUBTS = 6
"""Doubts beyond which the scheme is learnt anew: more than two parties cause that start anew."""

DESCENT_WEIGHT = MAX_DOUBTS + 1
"""Doubts in a count that starts anew and goes back."""

KEPT_SECONDS = 3.0
"""Seconds of arrivals for which a packet to be dropped is kept: twice as long as learning takes."""


class Counter(Protocol):
    """A counter of packets: the next number, and the next one when the latest doubt arose."""

    next: int
    trusted: int
    stride: int


class Doubts:
    """The doubts about the numbers of one call."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._kept: list[tuple[str, Packet]] = []
        self._doubts = 0.0
        self._limit = float(MAX_DOUBTS)

    @property
    def too_many(self) -> bool:
        """Whether the scheme must be learnt anew."""
        return self._doubts > self._limit

    @property
    def deadline(self) -> float:
        """Arrival stamp after which `expire` has something to do."""
        return self._kept[0][1].arrived + KEPT_SECONDS if self._kept else float("inf")

    def add(self, counter: Counter, weight: int = 1) -> None:
        """A number of ``counter`` was not as expected; those since its latest doubt were."""
        expected = (counter.next - counter.trusted) / counter.stride
        counter.trusted = counter.next
        self._doubts = max(0.0, self._doubts - expected / EXPECTED_PER_DOUBT) + weight

    def keep(self, reason: str, packet: Packet) -> None:
        """Keep a packet that is to be dropped for ``reason`` unless the scheme turns out to be another."""
        self._kept.append((reason, packet))

    def take(self) -> list[Packet]:
        """Return the packets that were kept: they are not dropped."""
        packets = [packet for _, packet in self._kept]
        self._kept.clear()
        return packets

    def expire(self, now: float) -> None:
        """Drop what was kept for long enough at ``now``."""
        while self.deadline < now:
            self._drop(*self._kept.pop(0))

    def settle(self) -> None:
        """Drop all that was kept."""
        for reason, packet in self._kept:
            self._drop(reason, packet)
        self._kept.clear()

    def believe(self) -> None:
        """The numbers do count packets: it takes twice as many doubts to ask again."""
        self._doubts = 0.0
        self._limit *= 2

    def _drop(self, reason: str, packet: Packet) -> None:
        self._report.dropped(reason, packet.seconds)
