"""Pauses after failures, and the moment at which the fallback takes over."""

from math import inf

from flowcore.speech import Expired, OverQuota, StreamError, Unavailable
from nodes.speech.cloud.retry import MAX_PAUSE, RetryPolicy


def pauses(policy: RetryPolicy, failures: int) -> list[float]:
    """The pauses after so many more failures at second 0."""
    found = []
    for _ in range(failures):
        policy.failed(Unavailable("down"), 0.0, 0.0)
        found.append(policy.retry_at)
    return found


def test_pauses_double_up_to_the_longest_and_begin_anew():
    policy = RetryPolicy(lambda: 1.0)
    assert pauses(policy, 8) == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    policy.succeeded()
    assert pauses(policy, 1) == [0.25]


def test_half_of_a_pause_is_chance():
    least, most = (pauses(RetryPolicy(lambda chance=chance: chance), 8) for chance in (0.0, 1.0))
    assert [2 * pause for pause in least] == most


def test_an_outage_of_hours_overflows_nothing():
    assert set(pauses(RetryPolicy(lambda: 1.0), 5000)) <= {0.25 * 2**n for n in range(6)} | {MAX_PAUSE}


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
