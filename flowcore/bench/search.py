"""Search for the largest load that a graph holds: double it until it fails, then bisect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from flowcore.bench.trial import Outcome

SEARCH_TOLERANCE = 0.06
"""The search ends when the held and the failed load differ by this fraction of the failed one."""
GENERATOR_LATE = "the load generator was late: this machine cannot say"


def verdict(outcome: Outcome, p99_ms: float) -> str:
    """Return why a load was not held; empty when it was. ``GENERATOR_LATE`` says nothing about the receiver."""
    if not outcome.in_time:
        return GENERATOR_LATE
    losses = outcome.losses()
    if losses:
        return losses[0]
    late = outcome.age_ms(0.99)
    return f"added latency p99 {late:.0f} ms" if late > p99_ms else ""


@dataclass
class Search:
    """A search in progress. ``attempt`` runs one load and returns why it was not held, empty when it was; see `run`.

    A load that fails is tried once more, because one hiccup of the machine is no limit of the graph. A load for which
    the generator was late twice counts as failed too, because this machine cannot measure more; ``why`` says so.
    """

    attempt: Callable[[int], str]
    start: int = 50
    limit: int = 10_000
    held: int = 0
    """Largest load held so far."""
    failed: int = 0
    """Smallest load that failed; 0 while there is none."""
    why: str = ""
    """Reason of the failure at ``failed``."""
    tried: list[tuple[int, str]] = field(default_factory=list)

    @property
    def next(self) -> int:
        """The next load to try; 0 when the search is over."""
        if self.why == GENERATOR_LATE and not self.held:
            return 0
        if not self.failed:
            wanted = min(self.held * 2 or self.start, self.limit)
            return wanted if wanted > self.held else 0
        if self.failed - self.held <= max(1.0, self.failed * SEARCH_TOLERANCE):
            return 0
        middle = (self.held + self.failed) // 2
        grain = 10 if middle >= 100 else 1
        return max(self.held + 1, middle // grain * grain)

    def run(self) -> int:
        """Search, and return the largest load that was held."""
        while calls := self.next:
            why = self.attempt(calls) and self.attempt(calls)
            self.tried.append((calls, why))
            if why:
                self.failed, self.why = calls, why
            else:
                self.held = calls
        return self.held
