"""What one track's clock learns from packets that wait."""

import pytest

from nodes.jitterbuffer.track_clock import MAX_BATCH_SECONDS, TrackClock

PACKET = bytes(160)


def waiting(*lags, began=10.0):
    """A clock whose packets of 20 ms wait with these lags, in seconds."""
    clock = TrackClock("agent", 0, 0)
    clock.delay, clock.length = 0.0, len(PACKET)
    clock.begin_to_wait(began, lags[0])
    for order, lag in enumerate(lags):
        clock.keep(order, clock.position, PACKET, lag)
        clock.lowest = min(clock.lowest, lag)
        clock.position += len(PACKET)
    return clock


def test_a_lag_that_falls_faster_than_time_passes_catches_up():
    clock = waiting(1.0, 0.98, 0.6)
    assert clock.catches_up(10.1)
    assert not clock.catches_up(11.0)


def test_the_next_stall_within_a_batch_length_is_a_batch_as_long_as_the_shorter_of_both():
    clock = waiting(0.48)
    clock.learn_batch(0.48)
    assert clock.batch == 0.0
    clock.begin_to_wait(10.5, 0.4)
    clock.learn_batch(0.4)
    assert clock.batch == pytest.approx(0.4)


def test_stalls_far_apart_are_no_batches():
    clock = waiting(0.48)
    clock.learn_batch(0.48)
    clock.begin_to_wait(10.1 + MAX_BATCH_SECONDS, 0.48)
    clock.learn_batch(0.48)
    assert clock.batch == 0.0


def test_half_a_second_of_packets_is_a_burst_and_one_long_packet_is_not():
    assert waiting(*[0.5] * 26).is_burst()
    clock = waiting(0.5)
    clock.position, clock.length = 8000, 8000
    assert not clock.is_burst()


def test_the_least_lag_is_as_unsure_as_the_third_least_is_far():
    assert waiting(0.3, 0.25, 0.31, 0.32).uncertainty() == pytest.approx(0.06, abs=1e-3)
    assert waiting(0.3, 0.3, 0.3, 0.3).uncertainty() < 1e-3
