"""Cut sound into numbered packets, as a telephone system sends it: the way back is ``reorder``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flowcore import Audio, Caps, Config, Duration, Emit, Format, Packet, Transform, node
from flowcore.events import HOLE
from nodes.audio.g711 import RATE
from nodes.audio.packets import Cutter


class PacketizeConfig(Config):
    """How they are cut and numbered."""

    length: Duration = Field(Duration("20ms"), ge=Duration("1ms"))
    """Length of a packet."""

    sequence: Literal["per_track", "shared"] = "per_track"
    """What a sequence number counts: the packets of its party, or those of the call (``shared``)."""

    first: int = Field(1, ge=0)
    """The first sequence number."""


@node("packetize")
class Packetize(Transform[Audio, Packet, PacketizeConfig]):
    """Cut both parties' mu-law into packets of one length, with sequence numbers.

    In: ``Audio``, mu-law 8 kHz, tracks ``agent`` and ``customer``. Out: ``Packet``, as the ringcx listener gives them;
    the time of arrival is that at which the last sample was spoken, in seconds of the stream. A hole becomes silence,
    counted as made up. The last packet of each party may be shorter. ``netsim`` can take them from here, then
    ``ringcx_call``, which sends packets as they are, or ``reorder``.

    Example::

        packets: {use: packetize, from: coded}
    """

    caps = (Caps("audio", ("mulaw",), (RATE,), ("tracks",)),)
    balanced = True
    reasons = (HOLE,)

    @classmethod
    def gives(cls, config: PacketizeConfig, given: Format) -> Format:
        return Format("packets", "mulaw", RATE, "tracks")

    @classmethod
    def latency(cls, config: PacketizeConfig, given: Format) -> float:
        return config.length

    def __init__(self, config: PacketizeConfig) -> None:
        super().__init__(config)
        self._cutter = Cutter(config.length.samples(RATE), config.sequence, config.first)

    def process(self, chunk: Audio, emit: Emit[Packet]) -> None:
        hole = chunk.start - self._cutter.end[chunk.track]
        if hole > 0:
            self.report.filled("hole", hole / RATE)
        for packet in self._cutter.cut(chunk):
            emit(packet)

    def flush(self, emit: Emit[Packet]) -> None:
        for packet in self._cutter.rest():
            emit(packet)
