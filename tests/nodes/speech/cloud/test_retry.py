"""Pauses after failures, and the moment at which the fallback takes over."""

from math import inf

from flowcore.speech import Expired, OverQuota, StreamError, Unavailable
from nodes.speech.cloud.retry import MAX_PAUSE, Backoff, RetryPolicy


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


def failing(*errors: StreamError, age: float = 0.0) -> tuple[RetryPolicy, list[bool]]:
    """A policy after these failures, one second apart, and its answers."""
    policy = RetryPolicy(lambda: 1.0)
    return policy, [policy.failed(error, age, float(second)) for second, error in enumerate(errors)]


def test_the_fallback_takes_over_after_three_quota_errors_or_ten_seconds():
    assert failing(*[OverQuota("quota")] * 3)[1] == [False, False, True]
    assert failing(*[Unavailable("down")] * 12)[1] == [False] * 10 + [True] * 2


def test_a_result_between_failures_begins_the_count_anew():
    policy, _ = failing(OverQuota("quota"), OverQuota("quota"))
    policy.succeeded()
    assert not policy.failed(OverQuota("quota"), 0.0, 3.0)
    assert policy.retry_at == 3.25


def test_a_stream_that_lasted_counts_as_a_success():
    assert failing(*[OverQuota("quota")] * 5, age=10.0)[1] == [False] * 5


def test_a_stream_that_expires_in_time_is_renewed_at_once_and_one_that_expires_early_is_not():
    assert failing(Expired("old"), age=1.0)[0].retry_at == -inf
    assert failing(Expired("old"), age=0.9)[0].retry_at == 0.25
