import pytest

from flowcore import Packet
from flowcore.testing import NodeHarness
from nodes.transforms.duplicate import Duplicate

PACKETS = [Packet("agent", number, bytes([number % 251]) * 160, number * 0.02) for number in range(2000)]


def doubled(**config):
    return NodeHarness(Duplicate, config).push(*PACKETS).end()


def test_repeats_are_whole_counted_and_no_later_than_asked_for():
    harness = doubled(ratio=0.1, later=4)
    seen: dict[int, int] = {}
    repeats = []
    for place, packet in enumerate(harness.out):
        assert packet.data == PACKETS[packet.seq].data
        assert packet.arrived == max(PACKETS[other.seq].arrived for other in harness.out[: place + 1])
        if packet.seq in seen:
            between = {other.seq for other in harness.out[seen[packet.seq] + 1 : place]} - {packet.seq}
            repeats.append(sum(seq > packet.seq for seq in between))
        else:
            seen[packet.seq] = place
    assert list(seen) == list(range(2000))
    assert set(repeats) == {0, 1, 2, 3, 4}
    assert len(repeats) / len(PACKETS) == pytest.approx(0.1, abs=0.02)
    assert harness.filled["duplicated"] == pytest.approx(len(repeats) * 0.02)


def test_repeats_of_the_last_packets_come_at_the_end():
    harness = NodeHarness(Duplicate, {"ratio": 1, "later": 1000}).push(*PACKETS[:10]).end()
    assert sorted(packet.seq for packet in harness.out) == sorted([*range(10)] * 2)


def test_none_and_all_at_once():
    assert doubled(ratio=0).out == PACKETS
    assert doubled(ratio=1, later=0).out == [packet for packet in PACKETS for _ in range(2)]
