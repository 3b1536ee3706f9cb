import pytest

from flowcore import Packet
from flowcore.testing import NodeHarness
from nodes.transforms.reorder import Reorder
from nodes.transforms.shuffle import Shuffle

PACKETS = [Packet("agent", number, bytes([number % 251]) * 160, number * 0.02) for number in range(1000)]


def shuffled(**config):
    return NodeHarness(Shuffle, config).push(*PACKETS).end()


def test_packets_overtake_each_other_and_none_is_later_than_the_window():
    harness = shuffled(ratio=0.3, window="100ms")
    order = [packet.seq for packet in harness.out]
    assert sorted(order) == list(range(1000))
    assert order != sorted(order)
    assert [packet.arrived for packet in harness.out] == sorted(packet.arrived for packet in harness.out)
    late = [packet.arrived - PACKETS[packet.seq].arrived for packet in harness.out]
    assert 0.08 < max(late) <= 0.1
    assert sum(lateness > 0 for lateness in late) / 1000 == pytest.approx(0.3, abs=0.05)
    assert harness.events == [("shuffled", {"packets": sum(lateness > 0 for lateness in late)})]


def test_reorder_undoes_it_to_the_byte():
    plain = NodeHarness(Reorder, {"window": "120ms"}).push(*PACKETS).end()
    mended = NodeHarness(Reorder, {"window": "120ms"}).push(*shuffled(ratio=0.3, window="60ms").out).end()
    assert b"".join(c.samples.tobytes() for c in mended.out) == b"".join(c.samples.tobytes() for c in plain.out)
    assert not mended.dropped_chunks


def test_nothing_to_shuffle_changes_nothing():
    assert shuffled(ratio=0).out == PACKETS
