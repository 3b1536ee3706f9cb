"""Overwrite bytes of packets, as a broken gateway does: an adversary for what has to stay sane on noise."""

import msgspec
from pydantic import Field

from flowcore import Emit, Packet, node
from nodes.simulators.fate import Fated, Seeded


class CorruptConfig(Seeded):
    """How many, and how much of each."""

    ratio: float = Field(0.02, ge=0, le=1)
    """Share of the packets that is changed."""

    bytes: int = Field(16, ge=1)
    """Bytes of such a packet that are changed; all of them if it has no more."""

    seed: int = 0
    """Decides which, and into what."""


@node("corrupt")
class Corrupt(Fated[CorruptConfig]):
    """Change bytes of the sound in some packets, counted as dropped and as made up: ``corrupted``.

    In: ``Packet``. Out: the same, of the same lengths and in order, with other bytes in some. The same ``seed`` changes
    the same bytes again, in each call others.

    Example::

        noisy: {use: corrupt, from: packets, with: {ratio: 0.01, bytes: 40, seed: 7}}
    """

    def process(self, packet: Packet, emit: Emit[Packet]) -> None:
        if self.dice.random() >= self.config.ratio:
            emit(packet)
            return
        data = bytearray(packet.data)
        for at in self.dice.sample(range(len(data)), min(self.config.bytes, len(data))):
            data[at] ^= self.dice.randint(1, 255)
        self.report.dropped("corrupted", packet.seconds)
        self.report.filled("corrupted", packet.seconds, 1)
        emit(msgspec.structs.replace(packet, data=bytes(data)))
