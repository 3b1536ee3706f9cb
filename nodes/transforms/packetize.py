"""Cut audio into numbered packets, as a telephone system sends it; ``reorder`` is the inverse."""

from __future__ import annotations

from pydantic import Field

from flowcore import Audio, Caps, Config, Duration, Emit, Format, Packet, Transform, node
from flowcore.events import HOLE
from nodes.audio.g711 import RATE
from nodes.audio.packets import Numbering, Packetizer


class PacketizeConfig(Config):
    """Length and numbering of the packets."""

    length: Duration = Field(Duration("20ms"), ge=Duration("1ms"))
    """Length of a packet."""

    sequence: Numbering = "per_track"
    """Sequence numbers count the packets of each party (``per_track``), or those of the call (``shared``)."""

    first: int = Field(1, ge=0)
    """The first sequence number."""


@node("packetize")
class Packetize(Transform[Audio, Packet, PacketizeConfig]):
    """Cut both parties' mu-law into packets of one length, with sequence numbers.

    In: ``Audio``, mu-law 8 kHz, tracks ``agent`` and ``customer``. Out: ``Packet`` like those of the ringcx listener;
    the time of arrival is the time of the last sample, in seconds of the stream. A hole becomes silence, counted as
    filled. The last packet of each party may be shorter. The packets suit ``netsim``, ``reorder``, and ``ringcx_call``,
    which sends packets unchanged.

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
        self._packetizer = Packetizer(config.length.samples(RATE), config.sequence, config.first)

    def process(self, chunk: Audio, emit: Emit[Packet]) -> None:
        hole = chunk.start - self._packetizer.end[chunk.track]
        if hole > 0:
            self.report.filled("hole", hole / RATE)
        for packet in self._packetizer.add(chunk):
            emit(packet)

    def flush(self, emit: Emit[Packet]) -> None:
        for packet in self._packetizer.flush():
            emit(packet)
