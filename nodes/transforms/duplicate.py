"""Send packets twice, as a network does that is not sure of itself: an adversary for what has to hear each once."""

from collections import deque

import msgspec
from pydantic import Field

from flowcore import Emit, Packet, node
from nodes.simulators.fate import Fated, Seeded


class DuplicateConfig(Seeded):
    """How many, and how late."""

    ratio: float = Field(0.02, ge=0, le=1)
    """Share of the packets that comes twice."""

    later: int = Field(3, ge=0, le=1000)
    """Packets that come between a packet and its repeat, at most."""

    seed: int = 0
    """Decides which."""


@node("duplicate")
class Duplicate(Fated[DuplicateConfig]):
    """Repeat packets, at once or a few packets later, and count the repeats as made up: ``duplicated``.

    In: ``Packet``. Out: the same, with repeats that have their packet's sequence number, and the time of arrival of the
    packet that they follow. The same ``seed`` repeats the same packets again, in each call others.

    Example::

        twice: {use: duplicate, from: packets, with: {ratio: 0.05, later: 4, seed: 7}}
    """

    def __init__(self, config: DuplicateConfig) -> None:
        super().__init__(config)
        self._now = 0.0
        self._repeats: deque[list[Packet]] = deque([] for _ in range(config.later + 1))

    def process(self, packet: Packet, emit: Emit[Packet]) -> None:
        emit(packet)
        self._now = packet.arrived
        if self.dice.random() < self.config.ratio:
            self._repeats[self.dice.randint(0, self.config.later)].append(packet)
        self._repeat(emit)
        self._repeats.append([])

    def flush(self, emit: Emit[Packet]) -> None:
        while self._repeats:
            self._repeat(emit)

    def _repeat(self, emit: Emit[Packet]) -> None:
        """Send again what is to come now."""
        for packet in self._repeats.popleft():
            self.report.filled("duplicated", packet.seconds, 1)
            emit(msgspec.structs.replace(packet, arrived=self._now))
