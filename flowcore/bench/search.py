"""The largest load that is held: doubled until it is not, then halved in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from flowcore.bench.trial import Outcome

NEAR = 0.06
"""The search ends when what is held and what is not are this close to each other, as a part of the latter."""
LATE = "the load generator was late: this machine cannot say"


def verdict(outcome: Outcome, p99_ms: float) -> str:
    """Why this load was not held; empty when it was. ``LATE`` is no word about the receiver."""
    if not outcome.in_time:
        return LATE
    losses = outcome.losses()
    if losses:
        return losses[0]
    late = outcome.age_ms(0.99)
    return f"added latency p99 {late:.0f} ms" if late > p99_ms else ""


@dataclass
class Search:
    """``attempt`` runs one load and says why it was not held, empty when it was; see `run`.

    A load that fails is tried once more, because one hiccup of the machine is no limit of the graph. A load for which
    the generator was late twice counts as not held too, as no more can be found out here; ``why`` tells.
    """

    attempt: Callable[[int], str]
    start: int = 50
    limit: int = 10_000
    held: int = 0
    """The most that was held so far."""
    failed: int = 0
    """The least that was not; 0 while there is none."""
    why: str = ""
    """What was wrong at ``failed``."""
    tried: list[tuple[int, str]] = field(default_factory=list)

    @property
    def next(self) -> int:
        """The next load to try; 0 when the search is over."""
        if self.why == LATE and not self.held:
            return 0
        if not self.failed:
            wanted = min(self.held * 2 or self.start, self.limit)
            return wanted if wanted > self.held else 0
        if self.failed - self.held <= max(1.0, self.failed * NEAR):
            return 0
        middle = (self.held + self.failed) // 2
        grain = 10 if middle >= 100 else 1
        return max(self.held + 1, middle // grain * grain)

    def run(self) -> int:
        """Search; returns the most that was held."""
        while calls := self.next:
            why = self.attempt(calls) and self.attempt(calls)
            self.tried.append((calls, why))
            if why:
                self.failed, self.why = calls, why
            else:
                self.held = calls
        return self.held
