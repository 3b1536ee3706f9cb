import numpy as np
import pytest

from flowcore import Audio
from flowcore.testing import NodeHarness
from nodes.transforms.packetize import Packetize
from nodes.transforms.reorder import Reorder


def chunk(track, start, data):
    return Audio(np.frombuffer(data, np.uint8), "mulaw", 8000, track, start)


VOICE = bytes(n * n % 251 for n in range(2011))


@pytest.mark.parametrize("size", [1, 7, 160, 161, 1000])
def test_chunks_of_any_length_become_packets_of_one_length_without_loss(size):
    pieces = [chunk("agent", at, VOICE[at : at + size]) for at in range(0, len(VOICE), size)]
    packets = NodeHarness(Packetize).push(*pieces).end().out
    assert b"".join(packet.data for packet in packets) == VOICE
    assert [len(packet.data) for packet in packets] == [160] * 12 + [91]
    assert [packet.seq for packet in packets] == list(range(1, 14))
    assert [packet.arrived for packet in packets] == [*(n * 0.02 for n in range(1, 13)), 2011 / 8000]


def test_numbers_count_packets_of_each_party_or_of_the_call():
    pieces = [chunk(track, at, bytes(160)) for at in (0, 160) for track in ("agent", "customer")]
    alone = NodeHarness(Packetize).push(*pieces).end().out
    together = NodeHarness(Packetize, {"sequence": "shared", "first": 5}).push(*pieces).end().out
    assert [packet.seq for packet in alone] == [1, 1, 2, 2]
    assert [packet.seq for packet in together] == [5, 6, 7, 8]


def test_a_hole_is_silence_of_its_length_and_counted():
    harness = NodeHarness(Packetize).push(chunk("agent", 0, b"a" * 160), chunk("agent", 480, b"b" * 160)).end()
    assert b"".join(packet.data for packet in harness.out) == b"a" * 160 + b"\xff" * 320 + b"b" * 160
    assert harness.filled["hole"] == 0.04


def test_reorder_restores_the_audio():
    pieces = [chunk(track, 0, VOICE) for track in ("agent", "customer")]
    packets = sorted(NodeHarness(Packetize).push(*pieces).end().out, key=lambda packet: packet.arrived)
    out = NodeHarness(Reorder).push(*packets).end().out
    for track in ("agent", "customer"):
        assert b"".join(c.samples.tobytes() for c in out if c.track == track) == VOICE
