"""Decide when to try again after a failed stream, and when the fallback engine takes over."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from flowcore.speech import Expired, OverQuota, StreamError

MIN_PAUSE = 0.25  # seconds; doubled after each failure
MAX_PAUSE = 8.0  # seconds
STABLE_SECONDS = 10.0  # age from which a stream counts as a success
MIN_EXPIRED_AGE = 1.0  # seconds; a stream that expires earlier counts as a failure
FALLBACK_TIMEOUT = 10.0  # seconds of failures in a row
MAX_QUOTA_ERRORS = 3  # in a row


class RetryPolicy:
    """Counts the failures of one track's streams. No stream begins before ``retry_at``, in monotonic seconds.

    Pauses grow exponentially, with "equal jitter": half of each is random; ``uniform`` gives 0 to 1. Without the random
    half, all calls that one outage has cut off would come back at the same moment.
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    def __init__(self, uniform: Callable[[], float]) -> None:
        self.retry_at = -inf
        self._uniform = uniform
        self.succeeded()

    def succeeded(self) -> None:
        """Forget earlier failures."""
        self._pause = MIN_PAUSE
        self._failing_since = inf
        self._quota_errors = 0

    def failed(self, error: StreamError, age: float, now: float) -> bool:
        """Count the failure of a stream that was ``age`` seconds old; True if the fallback should take over."""
        if age >= STABLE_SECONDS:
            self.succeeded()
        if isinstance(error, Expired) and age >= MIN_EXPIRED_AGE:
            return False
        self._failing_since = min(self._failing_since, now)
        self._quota_errors += isinstance(error, OverQuota)
        self.retry_at = now + self._pause / 2 * (1 + self._uniform())
        self._pause = min(2 * self._pause, MAX_PAUSE)
        return self._quota_errors >= MAX_QUOTA_ERRORS or now - self._failing_since >= FALLBACK_TIMEOUT
