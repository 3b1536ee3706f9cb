"""Deliver packets unevenly, as a busy network does: an adversary for what expects them every 20 ms."""

from pydantic import Field

from flowcore import Duration, Emit, Format, Packet, node
from nodes.simulators.fate import Fated, Late, Seeded


class DelayConfig(Seeded):
    """How unevenly."""

    jitter: Duration = Field(Duration("80ms"), le=Duration("1min"))
    """The longest delay; all shorter ones are as likely."""

    seed: int = 0
    """Decides which packet is how late."""


@node("delay")
class Delay(Fated[DelayConfig]):
    """Delay each packet by another time, without changing their order; event ``delayed`` tells the longest at the end.

    In: ``Packet``, stamped in order. Out: the same ones, with the time at which each goes on as its time of arrival.
    None overtakes another, as on one TCP connection: so packets bunch up behind one that is late. The clock is that of
    the stamps. The same ``seed`` gives the same delays again, in each call others.

    Example::

        uneven: {use: delay, from: packets, with: {jitter: 80ms, seed: 7}}
    """

    @classmethod
    def latency(cls, config: DelayConfig, given: Format) -> float:
        return config.jitter

    def __init__(self, config: DelayConfig) -> None:
        super().__init__(config)
        self._late = Late()
        self._due = float("-inf")
        self._longest = 0.0

    def process(self, packet: Packet, emit: Emit[Packet]) -> None:
        now = packet.arrived
        self._due = max(self._due, now + self.dice.random() * self.config.jitter)
        self._longest = max(self._longest, self._due - now)
        self._late.hold(packet, self._due)
        self._late.release(now, emit)

    def flush(self, emit: Emit[Packet]) -> None:
        self._late.release(float("inf"), emit)
        if self._longest:
            self.report.event("delayed", longest=round(self._longest, 3))
