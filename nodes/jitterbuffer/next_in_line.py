"""The fast path of the jitter buffer, in order and in time at once, for packets about which nothing is in doubt.

Four of five packets only continue what their track said. They go past `Sequencer` and `Timeline`, in half the time.
Each piece's first packet goes the whole way, and sets the limits within which the next ones may take this path.
"""

from __future__ import annotations

from flowcore import Packet
from nodes.jitterbuffer.sequence import Sequencer
from nodes.jitterbuffer.space import Space
from nodes.jitterbuffer.track_clock import SAMPLE_SECONDS, TrackClock


class NextInLine:
    """The next packet of one track: its number in ``space``, and its place on ``clock``."""

    __slots__ = ("_clock", "_sequencer", "space")

    def __init__(self, sequencer: Sequencer, space: Space, clock: TrackClock) -> None:
        self.space = space
        self._sequencer = sequencer
        self._clock = clock

    def accepts(self, packet: Packet) -> bool:
        """Whether the packet directly follows the one before; if so, its number and its place are taken."""
        space, clock, arrived = self.space, self._clock, packet.arrived
        length = clock.length
        if (
            packet.seq != space.next
            or not space.calm
            or len(packet.data) != length
            or arrived > clock.until
            or arrived > self._sequencer.deadline
        ):
            return False
        space.next += space.stride
        clock.position = position = clock.position + length
        delay = arrived - position * SAMPLE_SECONDS
        if delay < clock.least:
            clock.least = delay
        return True
