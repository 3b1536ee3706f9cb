import pytest

from flowcore import Packet
from flowcore.testing import NodeHarness
from nodes.transforms.corrupt import Corrupt

PACKETS = [Packet("agent", number, bytes([number % 251]) * 160, number * 0.02) for number in range(2000)]


def corrupted(**config):
    return NodeHarness(Corrupt, config).push(*PACKETS).end()


def test_so_many_bytes_of_so_many_packets_are_others_and_nothing_else_is():
    harness = corrupted(ratio=0.1, bytes=16)
    changed = 0
    for packet, sent in zip(harness.out, PACKETS, strict=True):
        others = sum(a != b for a, b in zip(packet.data, sent.data, strict=True))
        assert others in (0, 16)
        assert (packet.track, packet.seq, packet.arrived) == (sent.track, sent.seq, sent.arrived)
        changed += bool(others)
    assert changed / 2000 == pytest.approx(0.1, abs=0.02)
    assert harness.dropped["corrupted"] == harness.filled["corrupted"] == pytest.approx(changed * 0.02)


def test_a_packet_with_fewer_bytes_is_changed_in_all_of_them():
    harness = NodeHarness(Corrupt, {"ratio": 1, "bytes": 999}).push(Packet("agent", 1, b"abc", 0.0)).end()
    assert all(a != b for a, b in zip(harness.out[0].data, b"abc", strict=True))
