"""Packets whose numbers count nothing come in the order of arrival, but not twice."""

from flowcore import Packet
from nodes.jitterbuffer.arrival_order import REMEMBERED_PACKETS, ArrivalOrder
from tests.support.ordering import Log


def arrived(*packets: Packet, unique: bool = True) -> Log:
    log = Log()
    order = ArrivalOrder(log.follow, log, unique=unique)
    for packet in packets:
        order.push(packet)
    return log


def test_packets_come_as_they_arrive():
    log = arrived(Packet("a", 9, b"1", 0), Packet("c", 2, b"2", 0), Packet("a", 4, b"3", 0))
    assert log.lines == ["a9", "c2", "a4"]


def test_a_repeat_of_a_track_is_dropped_and_the_same_number_with_other_audio_is_not():
    log = arrived(Packet("a", 9, b"1", 0), Packet("a", 9, b"1", 0), Packet("a", 9, b"2", 0), Packet("c", 9, b"1", 0))
    assert log.lines == ["a9", "a9", "c9"]
    assert log.dropped_lines == ["-duplicate"]


def test_a_repeat_is_known_among_the_latest_packets_only():
    others = [Packet("a", number, b"1", 0) for number in range(REMEMBERED_PACKETS)]
    assert not arrived(Packet("a", 99, b"1", 0), *others, Packet("a", 99, b"1", 0)).dropped_lines


def test_where_numbers_repeat_no_packet_is_taken_for_a_repeat():
    assert arrived(*[Packet("a", 7, b"1", 0)] * 3, unique=False).lines == ["a7"] * 3
