"""Whose packets are missing from a counter that tracks share, by when the packets behind the gap came."""

import pytest

from flowcore import Packet
from nodes.jitterbuffer.missing import came_too_early, missing_of
from nodes.jitterbuffer.track_clock import TrackClock

RATE = 8000


def clock(name: str, end: float, length: int) -> TrackClock:
    """A track of which everything up to ``end`` seconds came in time, in packets of ``length`` samples."""
    track = TrackClock(name, round(end * RATE), 0)
    track.delay, track.length = 0.0, length
    return track


def packets(name: str, length: int, *ends: float) -> list[Packet]:
    return [Packet(name, 0, bytes(length), end) for end in ends]


def owners(held: dict[str, list[Packet]], count: int, *clocks: TrackClock) -> str:
    return "".join(track.name for track in missing_of({track.name: track for track in clocks}, held, count))


AGENT, CUSTOMER = clock("a", 1.0, 160), clock("c", 0.96, 480)


def test_the_track_whose_packets_come_later_by_a_packet_misses_it():
    on_time = packets("a", 160, 1.02, 1.04, 1.06)
    late = packets("a", 160, 1.04, 1.06, 1.08)
    assert owners({"a": late, "c": packets("c", 480, 1.02)}, 1, AGENT, CUSTOMER) == "a"
    assert owners({"a": on_time, "c": packets("c", 480, 1.08)}, 1, AGENT, CUSTOMER) == "c"


@pytest.mark.parametrize("jitter", [0.0, 0.008])
def test_a_track_of_long_packets_misses_one_where_the_other_ones_packets_are_in_time(jitter):
    customer = clock("c", 0.5, 4000)
    came = packets("a", 160, 1.02 + jitter, 1.04, 1.06 + jitter)
    assert owners({"a": came, "c": []}, 1, AGENT, customer) == "c"


def test_each_track_misses_as_many_as_it_is_late():
    held = {"a": packets("a", 160, 1.06, 1.08), "c": packets("c", 480, 1.08)}
    assert sorted(owners(held, 3, AGENT, CUSTOMER)) == ["a", "a", "c"]


def test_a_track_that_was_on_hold_misses_nothing_where_the_other_is_late_by_one_packet():
    held = {"a": packets("a", 160, 1.04), "c": packets("c", 480, 4.0)}
    assert owners(held, 1, AGENT, CUSTOMER) == "a"


def test_a_track_that_catches_up_misses_what_lies_between_its_own_packets():
    agent = clock("a", 1.0, 160)
    agent.begin_to_wait(3.0, 2.0)
    agent.keep(1, 0, bytes(160), 2.0)
    assert owners({"a": packets("a", 160, 3.0, 3.0), "c": []}, 2, agent, clock("c", 0.96, 480)) == "aa"


def test_the_first_packet_of_a_track_is_missing_where_all_others_are_in_time():
    held = {"a": packets("a", 160, 1.02), "c": packets("c", 480, 1.02)}
    assert owners(held, 1, AGENT) == ""


def test_numbers_that_jump_while_all_packets_are_in_time_are_no_loss():
    held = {"a": packets("a", 160, 1.02), "c": packets("c", 480, 1.02)}
    clocks = {"a": AGENT, "c": CUSTOMER}
    assert came_too_early(clocks, held, 100, 0.2)
    assert not came_too_early(clocks, held, 3, 0.2)
    assert not came_too_early(clocks, {"a": packets("a", 160, 2.02), "c": packets("c", 480, 2.02)}, 67, 0.2)
