"""How long to wait before trying again: longer each time, and never for two callers the same."""

from __future__ import annotations

from collections.abc import Callable

FIRST = 0.25  # seconds
LONGEST = 8.0


class Backoff:
    """Exponential, with "equal jitter": half of each pause is chance, given by ``chance`` (0 to 1).

    Without chance, all calls that one outage has cut off would come back in the same moment.
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._failures = 0

    def pause(self) -> float:
        """Seconds to wait after one more failure."""
        whole: float = min(FIRST * 2 ** min(self._failures, 16), LONGEST)
        self._failures += 1
        return whole / 2 + whole / 2 * self._chance()

    def reset(self) -> None:
        """It worked again."""
        self._failures = 0
