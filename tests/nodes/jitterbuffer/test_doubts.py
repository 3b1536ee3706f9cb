"""How many unexpected numbers make the scheme doubtful, and what becomes of their packets."""

from types import SimpleNamespace

import pytest

from flowcore import Packet
from nodes.jitterbuffer.doubts import KEPT_SECONDS, MAX_DOUBTS, RESTART_WEIGHT, Doubts


class Drops(list):
    def dropped(self, reason, seconds=0.0, chunks=1):
        self.append(reason)


def ask(doubts, *, every, times):
    """Whether so many doubts ask for the scheme, with one in ``every`` numbers unexpected."""
    counter = SimpleNamespace(next=0, trusted=0, stride=1)
    for _ in range(times):
        counter.next += every - 1
        doubts.add(counter)
    return doubts.too_many


@pytest.mark.parametrize(("every", "asked"), [(1, True), (2, True), (3, True), (4, False), (10, False)])
def test_more_than_a_quarter_of_unexpected_numbers_ask_for_the_scheme(every, asked):
    assert ask(Doubts(Drops()), every=every, times=100) is asked


def test_a_restart_does_not_ask_for_the_scheme():
    doubts = Doubts(Drops())
    doubts.add(SimpleNamespace(next=3, trusted=0, stride=1), RESTART_WEIGHT)
    assert not doubts.too_many


def test_it_takes_twice_as_many_doubts_to_ask_again():
    doubts = Doubts(Drops())
    assert ask(doubts, every=1, times=MAX_DOUBTS + 1)
    doubts.believe()
    assert not ask(doubts, every=1, times=2 * MAX_DOUBTS)
    assert ask(doubts, every=1, times=1)


def test_a_kept_packet_is_dropped_once_its_time_is_over():
    drops = Drops()
    doubts = Doubts(drops)
    doubts.keep("stray", Packet("a", 7, b"1", 10.0))
    doubts.expire(doubts.deadline)
    assert not drops
    doubts.expire(10.0 + KEPT_SECONDS + 0.01)
    assert drops == ["stray"]


def test_a_packet_that_is_taken_is_not_dropped():
    drops = Drops()
    doubts = Doubts(drops)
    packet = Packet("a", 7, b"1", 10.0)
    doubts.keep("late", packet)
    assert doubts.take() == [packet]
    doubts.settle()
    assert not drops
