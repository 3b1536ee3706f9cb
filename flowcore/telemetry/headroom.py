"""How many more calls fit beside the live ones, from what these use of each resource.

A resource has a *used share*: 0 is idle, 1 is full. Its samples are added up, and the live calls beside them; older
ones count less. The ratio of both sums is the share of one call, and 1 / share calls fill the resource. So the estimate
follows the cost of calls, not their number: it stays where it is while calls come and go, and a change of their cost
reaches it within `MEMORY`. While there is no call, nothing is learnt and nothing is forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp
from typing import Final

MEMORY: Final = 60.0
"""Seconds after which a sample counts 1/e."""
MIN_CALL_SECONDS: Final = 10.0
"""Seconds, added up over calls, that must be known before there is an estimate."""


@dataclass
class _Use:
    """What was used of one resource: in seconds of its full use, and the seconds of calls meanwhile."""

    used: float = 0.0
    calls: float = 0.0

    def add(self, used: float, calls: float, keep: float) -> None:
        self.used = self.used * keep + used
        self.calls = self.calls * keep + calls

    @property
    def capacity(self) -> float | None:
        """Calls that fill the resource; None if too little is known, or calls do not use it."""
        return self.calls / self.used if self.calls >= MIN_CALL_SECONDS and self.used > 0.0 else None


class Headroom:
    """Estimates the calls that still fit, by resource."""

    def __init__(self) -> None:
        self._uses: dict[str, _Use] = {}

    def sample(self, used: Mapping[str, float], calls: int, seconds: float) -> None:
        """Add the used share of each resource over the last ``seconds``, in which there were so many calls."""
        if not calls:
            return
        for name, share in used.items():
            keep = exp(-seconds / MEMORY)
            self._uses.setdefault(name, _Use()).add(share * seconds, calls * seconds, keep)

    def capacities(self) -> dict[str, float]:
        """Return how many calls fill each resource, as far as it is known. From any thread."""
        found = {name: use.capacity for name, use in tuple(self._uses.items())}
        return {name: capacity for name, capacity in found.items() if capacity is not None}
