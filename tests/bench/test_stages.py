"""Ages of stamped packets, and latency by stage: messages are followed to the file, which stays the same."""

import pytest

from flowcore import Config, Format, Host, Listener, Packet, Sink, node, stamps
from flowcore.bench.ages import AgeProbe
from flowcore.formats import PACKETS
from flowcore.testing import run_plan
from tests.bench.calls import lost, receive_by_stage, stages_ms
from tests.bench.stages import STAGES, Stages
from tests.engine.nodes import Double, Keep, KeepInThread, Tones, plan, step


@pytest.mark.slow
def test_latency_is_measured_by_stage_and_the_recordings_are_unchanged() -> None:
    done = receive_by_stage(10, 4.0, together=False)
    assert lost(done) == []
    middle, most = stages_ms(done, 0.5), stages_ms(done, 0.99)
    assert tuple(middle) == tuple(most) == STAGES
    assert all(0 <= middle[stage] <= most[stage] for stage in STAGES)
    assert most["reorder"] > 150  # the first message of a piece of 200 ms waits for nine others
    assert len({len(seconds) for seconds in done.report["stages"].values()}) == 1
    assert 10 * 50 / 10 <= len(done.report["stages"]["sink"]) <= 10 * 3 * 50 / 10


@pytest.mark.parametrize("sink", [Keep, KeepInThread])
def test_audio_without_stamps_has_no_stages_and_passes_unchanged(sink):
    Keep.kept.clear()
    stages = Stages(plan(step("call", Tones), step("twice", Double, "call"), step("end", sink, "twice")))
    run_plan(stages.plan, prepare=lambda engine: engine.on_opened.append(stages.attach))
    assert stages.measured() == {}
    assert [len(kept) for kept in Keep.kept.values()] == [53]


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
