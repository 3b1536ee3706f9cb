"""How long packets wait until it is looked what their numbers count."""

import pytest

from flowcore import Packet
from nodes.jitterbuffer.learning import MAX_RELEARNING_SECONDS, RELEARNING_PACKETS, Learning


def packets_until_due(learning: Learning, numbers: range, *, length: int = 160, spacing: float = 0.0) -> int:
    """How many packets wait before one makes it time to look."""
    sent = (Packet("a", number, bytes(length), at * spacing) for at, number in enumerate(numbers))
    return next(at for at, packet in enumerate(sent, 1) if learning.add(packet))


@pytest.mark.parametrize(("length", "waits"), [(160, 7), (320, 4), (800, 3), (8000, 3)])
def test_three_to_seven_packets_wait_until_they_cover_the_window(length, waits):
    assert packets_until_due(Learning(0.12), range(9), length=length) == waits


def test_time_that_passes_covers_the_window_too():
    assert packets_until_due(Learning(0.12), range(9), spacing=0.1) == 3


def test_anew_twelve_packets_of_the_doubted_track_wait():
    assert packets_until_due(Learning(0.12, ["a"]), range(20), length=800) == RELEARNING_PACKETS


def test_anew_the_other_track_waits_until_the_time_is_over():
    learning = Learning(0.12, ["c"])
    assert packets_until_due(learning, range(99), spacing=MAX_RELEARNING_SECONDS / 2.5) == 4
    assert learning.long


def test_repeats_are_told_from_the_packets_that_came_first():
    learning = Learning(0.12)
    sent = [Packet("a", number, b"1", 0.0) for number in (1, 2, 1, 3)]
    for packet in sent:
        learning.add(packet)
    assert learning.split_repeats() == ([sent[0], sent[1], sent[3]], [sent[2]])
