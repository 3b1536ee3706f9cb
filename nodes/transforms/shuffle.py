"""Let packets overtake each other, as a network does: an adversary for what has to put them in order."""

from pydantic import Field

from flowcore import Duration, Emit, Format, Packet, node
from nodes.simulators.fate import Fated, Late, Seeded


class ShuffleConfig(Seeded):
    """How many, and how far."""

    ratio: float = Field(0.1, ge=0, le=1)
    """Share of the packets that is held back."""

    window: Duration = Field(Duration("60ms"), le=Duration("1min"))
    """The longest time for which one is held back."""

    seed: int = 0
    """Decides which, and for how long."""


@node("shuffle")
class Shuffle(Fated[ShuffleConfig]):
    """Hold some packets back for a moment, so that others overtake them; event ``shuffled`` tells how many at the end.

    In: ``Packet``, stamped in order. Out: the same ones, none later than ``window``, with the time at which each goes
    on as its time of arrival. The clock is that of the stamps, so in a pause nothing moves. The same ``seed`` gives
    the same order again, in each call another.

    Example::

        mixed: {use: shuffle, from: packets, with: {ratio: 0.1, window: 60ms, seed: 7}}
    """

    @classmethod
    def latency(cls, config: ShuffleConfig, given: Format) -> float:
        return config.window

    def __init__(self, config: ShuffleConfig) -> None:
        super().__init__(config)
        self._late = Late()
        self._held = 0

    def process(self, packet: Packet, emit: Emit[Packet]) -> None:
        now = packet.arrived
        held = self.dice.random() < self.config.ratio
        self._held += held
        self._late.hold(packet, now + self.dice.random() * self.config.window * held)
        self._late.release(now, emit)

    def flush(self, emit: Emit[Packet]) -> None:
        self._late.release(float("inf"), emit)
        if self._held:
            self.report.event("shuffled", packets=self._held)
