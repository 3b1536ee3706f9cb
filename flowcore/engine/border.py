"""A border: the bounded queue where work changes its thread or its pace, and the only place where flowcore waits.

The bound is in seconds of audio, summed over all tracks, each counted as one channel; text, which has no length, is
bounded by count. The counters balance at all times: *in = out + dropped + still queued*, in chunks and in seconds.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from flowcore.engine.gaps import Gaps
from flowcore.engine.stats import NodeStats, Reasons, Tally, unbalanced
from flowcore.graph.plan import BorderPlan
from flowcore.metrics import Histogram

END: Final = object()
"""Returned by `Border.get` behind the last chunk, once for every producer that has ended."""

EMPTY: Final = object()
ROUNDING: Final = 1e-9
"""Seconds by which a sum of chunk lengths may exceed the bound: 50 x 20 ms is 1 s, whatever floats add up to."""
RESUME_AT: Final = 0.5
"""Fraction of the bound to which a border drains before it unblocks its producers."""


class Producer(Protocol):
    """A chain that feeds a border, as the border sees it."""

    def block(self, border: Border) -> None:
        """Stop taking input: the border is full."""

    def unblock(self, border: Border) -> None:
        """Take input again."""


def _no_op() -> None:
    """No-op callback used until a consumer is set, and after `Border.release`."""


@dataclass(slots=True, eq=False)
class Border:
    """One border of one flow. ``put`` is called by the producers' threads, ``get`` by the consumer's.

    Policies when full: ``block`` takes the chunk and asks the producers to pause, so a producer's
    chunks in progress may exceed the bound; ``drop_oldest`` and ``drop_newest`` drop and count ``queue_full``;
    ``fail`` calls ``on_fail`` and drops the new chunk.
    """

    name: str
    plan: BorderPlan
    now: Callable[[], float]
    gaps: Gaps = field(default_factory=Gaps)
    """Takes the places of dropped chunks."""
    producers: list[Producer] = field(default_factory=list)
    consumer_ready: Callable[[], None] = _no_op
    on_fail: Callable[[], None] = _no_op
    entered: Tally = field(default_factory=Tally)
    left: Tally = field(default_factory=Tally)
    dropped: Reasons = field(default_factory=Reasons)
    depth: float = 0.0
    waits: Histogram = field(default_factory=Histogram)
    """The measured waits: those of one chunk at a time."""
    longest: float = 0.0
    """The longest of the measured waits, in seconds."""
    latest: float = 0.0
    """The latest of them."""
    _queue: deque[Any] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _blocking: bool = False
    _ends: int = 0  # producers that ended, not yet reported by `get`
    _gone: int = 0
    _probe: tuple[int, float] | None = None  # number of the chunk being timed, and its entry time

    def __len__(self) -> int:
        return len(self._queue) + self._ends

    def put(self, chunk: Any) -> None:
        """Queue a chunk, or apply the policy when the border is full."""
        seconds = chunk.seconds
        with self._lock:
            self.entered.chunks += 1
            self.entered.seconds += seconds
            if not self._fits(seconds) and not self._make_room(chunk):
                return
            self._queue.append(chunk)
            self.depth += seconds
            if self._probe is None:
                self._probe = (self.entered.chunks, self.now())
        self.consumer_ready()

    def _make_room(self, chunk: Any) -> bool:
        """Apply the policy, under the lock. Returns False when the new chunk was dropped."""
        seconds = chunk.seconds
        policy = self.plan.on_full
        if policy == "block":
            if not self._blocking:
                self._blocking = True
                for producer in self.producers:
                    producer.block(self)
            return True
        if policy == "drop_oldest" and seconds <= self.plan.seconds:
            while self._queue and not self._fits(seconds):
                oldest = self._queue.popleft()
                self.depth -= oldest.seconds
                self._drop("queue_full", oldest)
            return True
        if policy == "fail":
            self.on_fail()
        self._drop("queue_full", chunk)
        return False

    def _fits(self, seconds: float) -> bool:
        return self.depth + seconds <= self.plan.seconds + ROUNDING and len(self._queue) < self.plan.chunks

    def _drop(self, reason: str, chunk: Any) -> None:
        self.dropped.count(reason, 1, chunk.seconds)
        self.gaps.add_chunk(self.name, reason, chunk)
        self._gone += 1
        self._probe = None  # a drop shifts the numbers, so the timed chunk can no longer be found

    def end(self) -> None:
        """Note that one producer has sent its last chunk."""
        with self._lock:
            self._ends += 1
        self.consumer_ready()

    def get(self) -> Any:
        """Return the next chunk, ``END``, or ``EMPTY``."""
        with self._lock:
            if not self._queue:
                if not self._ends:
                    return EMPTY
                self._ends -= 1
                return END
            chunk = self._queue.popleft()
            seconds = chunk.seconds
            self.depth = self.depth - seconds if self._queue else 0.0  # no rounding error outlives an empty queue
            self.left.chunks += 1
            self.left.seconds += seconds
            self._gone += 1
            if self._probe is not None and self._gone >= self._probe[0]:
                waited = self.now() - self._probe[1]
                self.waits.observe(waited)
                self.longest = max(self.longest, waited)
                self.latest = waited
                self._probe = None
            if self._blocking and self.depth <= self.plan.seconds * RESUME_AT:
                self._blocking = False
                for producer in self.producers:
                    producer.unblock(self)
        return chunk

    @property
    def wait(self) -> float:
        """Seconds that the latest measured chunk waited, or waits by now. From any thread."""
        probe = self._probe
        return self.latest if probe is None else max(self.latest, self.now() - probe[1])

    @property
    def fullness(self) -> float:
        """The used fraction of the bound. From any thread."""
        return max(self.depth / self.plan.seconds, len(self._queue) / self.plan.chunks)

    def abandon(self, reason: str) -> None:
        """Drop and count all queued chunks, and unblock the producers: the consumer has gone."""
        with self._lock:
            for chunk in self._queue:
                self._drop(reason, chunk)
            self._queue.clear()
            self._ends = 0
            self.depth = 0.0
            if self._blocking:
                self._blocking = False
                for producer in self.producers:
                    producer.unblock(self)

    def add_to(self, stats: NodeStats) -> None:
        """Add what happened in the queue to the counters of the node behind it. From any thread."""
        if self.dropped:
            stats.dropped.add(self.dropped)
        stats.waits.add(self.waits)
        stats.depth += self.depth

    def imbalances(self) -> Iterator[str]:
        """Yield a line for each counter that does not balance."""
        with self._lock:
            lost = self.dropped.total()
            chunks = self.left.chunks + lost.chunks + len(self._queue)
            yield from unbalanced(f"border before {self.name}, chunks", self.entered.chunks, chunks, 0)
            seconds = self.left.seconds + lost.seconds + self.depth
            yield from unbalanced(f"border before {self.name}, seconds", self.entered.seconds, seconds, 1e-3)

    def release(self) -> None:
        """Drop the references to the chains on both sides, once no chunk can pass any more."""
        self.producers.clear()
        self.consumer_ready = self.on_fail = _no_op
