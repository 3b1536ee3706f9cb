"""The contract of metrics: declarations, and histograms. `flowcore.telemetry` reads and exposes them.

A node declares metrics in its class, and its resource measures them::

    WAIT = Metric("acme_lookup_wait_seconds", "histogram", "Time that a call waited for the directory.")

    class Lookup(Transform[Audio, Audio]):
        metrics = (WAIT,)

    class Directory(Resource):
        def measure(self):
            return {WAIT: self.waits}

Names follow the conventions of Prometheus: base units, and ``_total`` at the end of a counter.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final, Literal

BOUNDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
"""Upper bounds of the buckets of every `Histogram`, in seconds; the last bucket has none.

They reach from a part of a slot (20 ms) to the longest time that speech may wait for a decoder.
"""


@dataclass(frozen=True)
class Metric:
    """A metric: its name as Prometheus shows it, its kind, its meaning in one sentence, and the names of its labels.

    Values of labels must be few, and never the peer's own: no ids, numbers, addresses or words. Those that a resource
    measures have the label ``node``: the first node that has the resource.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ("node",)


@dataclass(slots=True, eq=False)
class Histogram:
    """Durations in seconds, counted by bucket. Only one thread at a time may `observe`.

    ``flows`` has the flow of the last duration of each bucket, and the duration, where `observe` was told the flow.
    """

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0
    """Sum of all durations."""
    flows: dict[int, tuple[str, float]] = field(default_factory=dict)

    def observe(self, seconds: float, flow: str = "") -> None:
        bucket = bucket_of(seconds)
        self.counts[bucket] += 1
        self.total += seconds
        if flow:
            self.flows[bucket] = flow, seconds

    @property
    def count(self) -> int:
        """Number of durations."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """Mean duration in seconds; 0 without any."""
        return self.total / self.count if self.total else 0.0

    def add(self, other: Histogram) -> None:
        """Add the durations of another histogram."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


def bucket_of(seconds: float) -> int:
    """Return the index of the bucket that counts a duration."""
    return bisect_left(BOUNDS, seconds)
