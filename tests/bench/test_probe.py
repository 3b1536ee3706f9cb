"""The age of stamped packets, as they come from the listener."""

import pytest

from flowcore import Config, Format, Host, Listener, Packet, Sink, node, stamps
from flowcore.bench.probe import AgeProbe
from flowcore.formats import PACKETS
from flowcore.testing import run_plan
from tests.engine.nodes import Keep, Tones, plan, step


@node("stamped")
class Stamped(Listener[Packet]):
    """One session of two packets, of which one carries a stamp."""

    @classmethod
    def gives(cls, config: Config) -> Format:
        return Format("packets", "mulaw", 8000)

    async def run(self, host: Host) -> None:
        inlet = host.accept({})
        for number, data in enumerate((stamps.stamp() + bytes(148), bytes(160))):
            inlet.push(Packet("agent", number, data, host.now()))
        inlet.end("done")


@node("keep_packets")
class KeepPackets(Sink[Packet]):
    """Takes packets."""

    caps = (PACKETS,)

    def process(self, packet: Packet) -> None:
        pass


def test_only_stamped_packets_have_an_age():
    graph = plan(step("call", Stamped), step("end", KeepPackets, "call"))
    probe = AgeProbe(graph)
    result = run_plan(graph, prepare=lambda engine: engine.on_opened.append(probe.attach))
    assert result.flows[0].stats["end"].arrived.chunks == 2
    assert [0 <= age < 60 for age in probe.ages] == [True]


def test_a_listener_without_packets_is_refused():
    with pytest.raises(ValueError, match="tones gives no packets"):
        AgeProbe(plan(step("call", Tones), step("end", Keep, "call")))
