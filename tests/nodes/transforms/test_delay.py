from flowcore import Packet
from flowcore.testing import NodeHarness
from nodes.transforms.delay import Delay
from nodes.transforms.reorder import Reorder

PACKETS = [Packet("agent", number, bytes([number % 251]) * 160, number * 0.02) for number in range(1000)]


def delayed(**config):
    return NodeHarness(Delay, config).push(*PACKETS).end()


def test_each_is_late_by_another_time_and_none_overtakes():
    harness = delayed(jitter="150ms")
    assert [packet.seq for packet in harness.out] == list(range(1000))
    late = [packet.arrived - PACKETS[packet.seq].arrived for packet in harness.out]
    assert min(late) >= 0
    assert 0.13 < max(late) <= 0.15
    assert len({round(lateness, 4) for lateness in late}) > 100
    assert harness.events == [("delayed", {"longest": round(max(late), 3)})]


def test_a_packet_goes_on_when_one_comes_that_arrived_after_its_time():
    harness = NodeHarness(Delay, {"jitter": "1min"}).push(*PACKETS)
    assert len(harness.out) < 1000
    assert all(packet.arrived <= PACKETS[-1].arrived for packet in harness.out)
    assert len(harness.end().out) == 1000


def test_reorder_does_not_take_it_for_a_pause():
    mended = NodeHarness(Reorder).push(*delayed(jitter="150ms").out).end()
    assert b"".join(c.samples.tobytes() for c in mended.out) == b"".join(packet.data for packet in PACKETS)
    assert mended.out[-1].end == 160_000
