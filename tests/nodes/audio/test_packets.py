import numpy as np
import pytest

from flowcore import Audio
from nodes.audio.packets import Packetizer


def chunk(track, start, data):
    return Audio(np.frombuffer(data, np.uint8), "mulaw", 8000, track, start)


def test_packets_have_one_size_and_the_time_of_their_last_sample():
    packets = Packetizer(160)
    out = [*packets.add(chunk("agent", 0, b"a" * 100)), *packets.add(chunk("agent", 100, b"b" * 300))]
    assert [packet.data for packet in out] == [b"a" * 100 + b"b" * 60, b"b" * 160]
    assert [(packet.seq, packet.arrived) for packet in out] == [(1, 0.02), (2, 0.04)]
    assert [packet.data for packet in packets.flush()] == [b"b" * 80]
    assert not list(packets.flush())


def test_a_hole_is_silence():
    packets = Packetizer(4)
    out = [*packets.add(chunk("agent", 0, b"a")), *packets.add(chunk("agent", 5, b"b" * 3))]
    assert [packet.data for packet in out] == [b"a\xff\xff\xff", b"\xffbbb"]
    assert packets.end == {"agent": 8, "customer": 0}


@pytest.mark.parametrize(("sequence", "numbers"), [("per_track", [7, 7, 8]), ("shared", [7, 8, 9])])
def test_numbers_count_packets_of_a_track_or_of_the_call(sequence, numbers):
    packets = Packetizer(2, sequence, first=7)
    tracks = ("agent", 0), ("customer", 0), ("agent", 2)
    assert [packet.seq for track, start in tracks for packet in packets.add(chunk(track, start, b"xx"))] == numbers


def test_other_tracks_are_refused():
    with pytest.raises(KeyError):
        list(Packetizer(160).add(chunk("bot", 0, b"x")))
