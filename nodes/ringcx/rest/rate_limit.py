"""Limits on the number of requests that RingCX answers within a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ARRIVAL_MARGIN = 1.0
"""Seconds that one request may take longer to arrive than another: RingCX counts arrivals."""


@dataclass(frozen=True)
class RateLimit:
    """At most ``count`` requests within ``window`` seconds, for each pair of ``rules``.

    ``subject`` names the requests in the plural, such as "logins". Requests of one subject share the limit.
    """

    subject: str
    rules: tuple[tuple[int, float], ...]

    def __str__(self) -> str:
        return " and ".join(f"{count} {self.subject} in {window:g} s" for count, window in self.rules)

    def recent(self, times: Sequence[float], now: float) -> list[float]:
        """Return those of ``times`` that still count at ``now``; none of the future, as then the clock was set back."""
        oldest = now - max(window for _, window in self.rules) - ARRIVAL_MARGIN
        return [at for at in times if oldest < at <= now]

    def wait(self, times: Sequence[float], now: float) -> float:
        """Return the seconds until another request is allowed; ``times`` are those of earlier ones, oldest first."""
        turns = [times[-count] + window + ARRIVAL_MARGIN for count, window in self.rules if len(times) >= count]
        return max([now, *turns]) - now


LOGINS = RateLimit("logins", ((5, 60.0),))
CONTROLS = RateLimit("control requests", ((120, 60.0),))
"""Media Control and active calls."""
