"""Stop now and then and catch up in a burst, as a network does that hangs: an adversary for what is paced."""

import msgspec
from pydantic import Field

from flowcore import Duration, Emit, Format, Packet, node
from nodes.simulators.fate import Fated, Seeded


class FreezeConfig(Seeded):
    """When, and for how long."""

    every: Duration = Field(Duration("10s"), gt=Duration(0))
    """Time from the end of one freeze to the next, in the mean; between half of it and one and a half."""

    length: Duration = Field(Duration("1s"), le=Duration("1min"))
    """How long nothing passes."""

    seed: int = 0
    """Decides when."""


@node("freeze")
class Freeze(Fated[FreezeConfig]):
    """Let nothing pass for a while, then everything at once; event ``frozen`` tells each time.

    In: ``Packet``, stamped in order. Out: the same ones in their order; those that were held have the end of the freeze
    as their time of arrival. The clock is that of the stamps. The same ``seed`` freezes at the same times again, in
    each call at others.

    Example::

        stuck: {use: freeze, from: packets, with: {every: 10s, length: 1s, seed: 7}}
    """

    @classmethod
    def latency(cls, config: FreezeConfig, given: Format) -> float:
        return config.length

    def __init__(self, config: FreezeConfig) -> None:
        super().__init__(config)
        self._held: list[Packet] = []
        self._begin = self._end = float("-inf")  # of the freeze that comes next, or is on

    def process(self, packet: Packet, emit: Emit[Packet]) -> None:
        now = packet.arrived
        if now >= self._end:
            self._thaw(emit)
            self._begin = now + (0.5 + self.dice.random()) * self.config.every
            self._end = self._begin + self.config.length
        if now < self._begin:
            emit(packet)
        else:
            self._held.append(packet)

    def flush(self, emit: Emit[Packet]) -> None:
        self._thaw(emit)

    def _thaw(self, emit: Emit[Packet]) -> None:
        """All that was held comes at once."""
        if self._held:
            self.report.event("frozen", packets=len(self._held), length=str(self.config.length))
        for packet in self._held:
            emit(msgspec.structs.replace(packet, arrived=self._end))
        self._held.clear()
