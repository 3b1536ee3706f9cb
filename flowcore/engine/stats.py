"""Counters: chunks and audio that went into every node, came out, or were dropped and why; and their balance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from flowcore.metrics import Histogram


@dataclass(slots=True, eq=False)
class Tally:
    """A count of chunks and of seconds of audio."""

    chunks: int = 0
    seconds: float = 0.0

    def add(self, chunks: int, seconds: float) -> None:
        self.chunks += chunks
        self.seconds += seconds

    def json(self) -> dict[str, float]:
        """Return JSON values: chunks and milliseconds."""
        return {"chunks": self.chunks, "ms": round(self.seconds * 1000, 3)}


class Reasons(dict[str, Tally]):
    """Tallies by drop or fill reason."""

    def count(self, reason: str, chunks: int, seconds: float) -> None:
        if reason not in self:
            self[reason] = Tally()
        self[reason].add(chunks, seconds)

    def add(self, other: Reasons, channels: int = 1) -> None:
        """Add other tallies. A node reports seconds of channels: a stereo stream has two for each of its seconds."""
        for reason, tally in tuple(other.items()):  # another thread may be counting
            self.count(reason, tally.chunks, tally.seconds / channels)

    def total(self) -> Tally:
        tallies = tuple(self.values())  # in one step: another thread may be counting
        return Tally(sum(t.chunks for t in tallies), sum(t.seconds for t in tallies))

    def json(self) -> dict[str, dict[str, float]]:
        return {reason: tally.json() for reason, tally in tuple(self.items())}


@dataclass(slots=True, eq=False)
class NodeStats:
    """One node's counters, of one flow or summed over flows.

    ``own`` is the time spent in the node itself, in seconds, estimated from sampled slots; ``waits`` the times that
    sampled chunks spent in the border before the node; ``depth`` the border's present length in seconds of audio. Only
    the thread that runs the node writes them.
    """

    arrived: Tally = field(default_factory=Tally)
    left: Tally = field(default_factory=Tally)
    dropped: Reasons = field(default_factory=Reasons)
    filled: Reasons = field(default_factory=Reasons)
    own: float = 0.0
    waits: Histogram = field(default_factory=Histogram)
    depth: float = 0.0

    def add(self, other: NodeStats) -> None:
        """Add another node's counters, for the totals of a graph."""
        self.arrived.add(other.arrived.chunks, other.arrived.seconds)
        self.left.add(other.left.chunks, other.left.seconds)
        self.dropped.add(other.dropped)
        self.filled.add(other.filled)
        self.own += other.own
        self.waits.add(other.waits)
        self.depth += other.depth

    def json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "in": self.arrived.json(),
            "out": self.left.json(),
            "dropped": self.dropped.json(),
            "filled": self.filled.json(),
            "own_ms": round(self.own * 1000, 3),
            "mean_wait_ms": round(self.waits.mean * 1000, 3),
            "waits": self.waits.count,
            "queue_ms": round(self.depth * 1000, 3),
        }


class Sampler:
    """Chooses the slots in which nodes are timed: one in ``every``, so that timing costs almost nothing on average."""

    __slots__ = ("_slot", "every", "on")

    def __init__(self, every: int = 32) -> None:
        self.every = every
        self.on = False
        self._slot = 0

    def tick(self) -> None:
        self._slot += 1
        self.on = self._slot % self.every == 0


def unbalanced(place: str, left: float, right: float, slack: float) -> Iterator[str]:
    """Yield a line that names the place and both sides, when they differ by more than ``slack``."""
    if abs(left - right) > slack:
        yield f"{place}: in {left:.6f} is not out and dropped {right:.6f}"
