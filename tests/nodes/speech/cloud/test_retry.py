"""Pauses grow up to a bound, by chance but within limits."""

from nodes.speech.cloud.retry import MAX_PAUSE, Backoff


def test_pauses_double_up_to_the_longest_and_begin_anew():
    backoff = Backoff(lambda: 1.0)
    assert [backoff.pause() for _ in range(8)] == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    backoff.reset()
    assert backoff.pause() == 0.25


def test_half_of_a_pause_is_chance():
    least, most = Backoff(lambda: 0.0), Backoff(lambda: 1.0)
    assert all(2 * least.pause() == most.pause() for _ in range(8))


def test_an_outage_of_hours_overflows_nothing():
    backoff = Backoff(lambda: 1.0)
    assert {backoff.pause() for _ in range(5000)} <= {0.25 * 2**n for n in range(6)} | {MAX_PAUSE}
