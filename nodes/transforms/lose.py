"""Lose packets, as a bad line does: an adversary for what has to live with loss."""

from pydantic import Field

from flowcore import Emit, Packet, node
from nodes.simulators.fate import Fated, Seeded


class LoseConfig(Seeded):
    """How much, and how much at once."""

    ratio: float = Field(0.02, ge=0, le=1)
    """Share of all packets that is lost in the long run."""

    burst: int = Field(1, ge=1)
    """Packets that are lost in a row, in the mean."""

    seed: int = 0
    """Decides which."""


@node("lose")
class Lose(Fated[LoseConfig]):
    """Leave packets out, in bursts, and count them as dropped: ``lost_on_purpose``.

    In: ``Packet``. Out: the others, unchanged and in order. Whether a packet is lost depends on the one before it (the
    model of Gilbert, 1960), whichever party's it is: they share a line. The same ``seed`` loses the same packets again,
    in each call others.

    Example::

        bad: {use: lose, from: packets, with: {ratio: 0.05, burst: 3, seed: 7}}
    """

    def __init__(self, config: LoseConfig) -> None:
        super().__init__(config)
        self._losing = False
        ratio, burst = config.ratio, config.burst
        self._stop = 1 / burst if ratio < 1 else 0.0
        self._start = min(1.0, ratio / burst / (1 - ratio)) if ratio < 1 else 1.0

    def process(self, packet: Packet, emit: Emit[Packet]) -> None:
        chance = self.dice.random()
        self._losing = chance >= self._stop if self._losing else chance < self._start
        if self._losing:
            self.report.dropped("lost_on_purpose", packet.seconds)
        else:
            emit(packet)
