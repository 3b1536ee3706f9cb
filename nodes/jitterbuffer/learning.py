"""The packets that wait until it is known what their numbers count, and how long they do."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from flowcore import Packet
from flowcore.audio import TELEPHONE_RATE as RATE

LEARNING_PACKETS = range(3, 7)
"""Packets of one track from which the scheme is learnt; the first packets of a call wait for it. Fewer than the start
never suffice, the end always does, and in between they do if they cover the window."""

RELEARNING_PACKETS = 12
"""Packets of one track from which the scheme is learnt anew: as many as make a restart of the count a small part."""

MAX_LEARNING_SECONDS = 1.5
MAX_RELEARNING_SECONDS = 0.7
MAX_LEARNING_PACKETS = 200
"""Limits of learning, in seconds of arrivals and in packets, where losses could look like another scheme. It is shorter
where the scheme is learnt anew: the doubts took their time, too."""


class Learning:
    """The first ``packets`` of a call, or those since the numbers of the ``doubted`` tracks are learnt anew.

    ``window`` is the time in seconds that the first packets should cover.
    """

    def __init__(self, window: float, doubted: Collection[str] = ()) -> None:
        self._window = window
        self.doubted = doubted
        self.packets: list[Packet] = []
        self.numbers: dict[str, dict[int, Packet]] = {}
        """The first packet of each number, by track."""

    @property
    def long(self) -> bool:
        """Whether the packets must suffice now."""
        limit = MAX_RELEARNING_SECONDS if self.doubted else MAX_LEARNING_SECONDS
        seconds = self.packets[-1].arrived - self.packets[0].arrived
        return seconds > limit or len(self.packets) > MAX_LEARNING_PACKETS

    def add(self, packet: Packet) -> bool:
        """Keep a packet. Returns whether it is time to look what the numbers count."""
        own = self.numbers.setdefault(packet.track, {})
        own.setdefault(packet.seq, packet)
        self.packets.append(packet)
        mine = sum(one.track == packet.track for one in self.packets)
        if self.doubted:
            return self.long or (packet.track in self.doubted and mine >= RELEARNING_PACKETS)
        if len(own) in LEARNING_PACKETS:
            media = sum(len(one.data) for one in own.values()) / RATE
            return max(media, packet.arrived - self.packets[0].arrived) > self._window
        few = len(own) < LEARNING_PACKETS.start and mine >= LEARNING_PACKETS.stop
        return few or len(own) >= LEARNING_PACKETS.stop

    def split_repeats(self) -> tuple[Sequence[Packet], Sequence[Packet]]:
        """Return the first packet of each number, and the others, each in the order of arrival."""
        repeats = [packet for packet in self.packets if self.numbers[packet.track][packet.seq] is not packet]
        return [packet for packet in self.packets if self.numbers[packet.track][packet.seq] is packet], repeats
