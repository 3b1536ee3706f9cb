"""Limits that Google enforces on a stream, from its documentation and from reports of users.

No I/O and no clock: callers pass the time. Numbers and texts with a source are Google's; those of our own say "ours".
"""

from __future__ import annotations

from dataclasses import dataclass


class Refused(Exception):
    """Raised to end the stream with a status; ``code`` is the name of a `grpc.StatusCode`."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        self.text = text
        super().__init__(f"{code}: {text}")


@dataclass(frozen=True)
class Limits:
    """Limits of one stream, in seconds and bytes."""

    longest: float
    """https://cloud.google.com/speech-to-text/quotas: 5 minutes; the error of v1 says 305 s."""
    idle: float = 10.0
    """Time without a request; the error of v1 says "long duration", measured by users as about 10 s."""
    request: int = 25_600
    """Bytes of audio in one request: python-docs-samples issue 12053 quotes the error."""
    burst: float = 5.0
    """Seconds of audio that may come at once. Google publishes none: ours, a little more than one full request."""
    pace: float = 2.0
    """Factor of real time at which audio may arrive for long. Google says "approximately at real time": ours."""


LIMITS = {1: Limits(305), 2: Limits(300)}
"""Limits by version of the service."""

TOO_LONG = {
    1: ("OUT_OF_RANGE", "Exceeded maximum allowed stream duration of 305 seconds."),
    2: ("ABORTED", "Max duration of 5 minutes reached for stream."),
}
TOO_QUIET = {
    1: (
        "OUT_OF_RANGE",
        "Audio Timeout Error: Long duration elapsed without audio. Audio should be sent close to real time.",
    ),
    2: ("ABORTED", "Stream timed out after receiving no more client requests."),
}
TOO_FAST = "Audio data is being streamed too fast. Please stream audio data approximately at real time."
EXHAUSTED = "Quota exceeded for quota metric 'Concurrent streaming sessions' and limit 'Concurrent sessions'."  # ours


class Rules:
    """State of one stream of service ``version``, opened at ``now``, against its limits."""

    def __init__(self, version: int, limits: Limits, now: float) -> None:
        self.version = version
        self.limits = limits
        self._opened = self._last = self._leaked = now
        self._ahead = 0.0

    def audio(self, now: float, size: int, seconds: float) -> None:
        """Count a request with ``size`` bytes and ``seconds`` of audio. Raises `Refused`."""
        self._last = now
        if size > self.limits.request:
            raise Refused(
                "INVALID_ARGUMENT",
                f"Audio chunk can be of a maximum of {self.limits.request} bytes. "
                f"Received audio of {size} bytes instead.",
            )
        self._ahead = max(0.0, self._ahead - (now - self._leaked) * self.limits.pace) + seconds
        self._leaked = now
        if self._ahead > self.limits.burst:
            raise Refused("OUT_OF_RANGE", TOO_FAST)

    def check(self, now: float, *, half_closed: bool) -> None:
        """Check the age of the stream and of its last request. Raises `Refused`."""
        if now - self._opened >= self.limits.longest:
            raise Refused(*TOO_LONG[self.version])
        if not half_closed and now - self._last >= self.limits.idle:
            raise Refused(*TOO_QUIET[self.version])
