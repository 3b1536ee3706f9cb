"""Thread pool for work that may block: one thread for all flows, more only while some are stuck.

A `Strand` is work that must not run in two threads at once: one chain of one flow. The pool queues the strands that
have work. Normally a single thread serves the queue, which is cheapest under Python's global lock. While that thread
is stuck in one strand, others are woken or started, so that one dead disk or one hanging engine delays no other flow.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections import deque
from types import FrameType
from typing import Protocol

MAX_THREADS = 64
KIND_SHARE = 4
"""At most one thread in four works on strands of one kind, so that one dead disk leaves threads for the others."""


class Work(Protocol):
    """The work of a strand."""

    def work(self) -> None:
        """Do all work that is due, and return."""

    def has_work(self) -> bool:
        """Whether work is due."""


class Strand:
    """Serialises the calls of one ``Work``. ``ready`` may be called from any thread, any number of times.

    ``kind`` is the same for strands that would get stuck together: those of one node of the graph. ``since``, in
    monotonic seconds, is when the strand began to run or, if later, took its latest chunk. The watchdog reads it.
    """

    __slots__ = ("_lock", "_scheduled", "kind", "pool", "since", "thread", "work")

    def __init__(self, pool: Pool, work: Work, kind: str = "") -> None:
        self.pool = pool
        self.kind = kind
        self.work = work
        self.thread = 0
        self.since = 0.0
        self._lock = threading.Lock()
        self._scheduled = False

    def ready(self) -> None:
        """Queue the strand for work that is due, unless it is queued already."""
        if self._scheduled:
            return
        with self._lock:
            if self._scheduled:
                return
            self._scheduled = True
        self.pool.submit(self)

    def run(self) -> None:
        """Run the work. Called by the pool."""
        self.thread = threading.get_ident()
        self.work.work()
        self.thread = 0
        with self._lock:
            self._scheduled = False
        if self.work.has_work():
            self.ready()

    def detach(self) -> None:
        """Drop the reference to the work. Later calls of `ready` find nothing to do."""
        self.work = _NO_WORK

    def frame(self) -> FrameType | None:
        """Return the innermost frame of the strand's thread; None when the strand is not running."""
        return sys._current_frames().get(self.thread)

    def stack(self) -> str:
        """Return the stack of the strand's thread, innermost call last; empty when the strand is not running."""
        frame = self.frame()
        return "".join(traceback.format_stack(frame)[-4:]) if frame else ""


class _NoWork:
    def work(self) -> None:
        """Do nothing: the strand is detached."""

    def has_work(self) -> bool:
        return False


_NO_WORK = _NoWork()


class Pool(Protocol):
    """Runs strands."""

    def submit(self, strand: Strand) -> None:
        """Queue a strand; it runs after the next ``rebalance`` at the latest."""

    def wake(self) -> None:
        """Start work on the queue if no thread is at work. From any thread."""

    def rebalance(self) -> None:
        """Add a thread if the queue is stuck. Called once a slot."""

    def close(self) -> None:
        """End idle threads; stuck ones are left behind."""


class ThreadPool:
    """Threads named ``flowcore-N``, all daemons: a stuck one cannot keep the process from ending."""

    def __init__(self, max_threads: int = MAX_THREADS) -> None:
        self.max_threads = max_threads
        self._max_of_kind = max(1, max_threads // KIND_SHARE)
        self.threads = 0
        self.running: dict[int, Strand] = {}
        """The strands that run, by thread."""
        self._parked: deque[Strand] = deque()  # strands whose kind already has its share of threads
        self._queue: deque[Strand] = deque()
        self._free = threading.Condition()
        self._idle = 0
        self._done = 0
        self._done_before = -1
        self._closed = False

    def submit(self, strand: Strand) -> None:
        self._queue.append(strand)

    def wake(self) -> None:
        if self._queue and self.threads == self._idle:
            self._add_thread()

    def rebalance(self) -> None:
        if self._parked:
            for _ in range(len(self._parked)):  # back into the queue, where it may be parked again
                self._queue.append(self._parked.popleft())
        done = self._done
        if self._queue and (done == self._done_before or self.threads == self._idle):
            self._add_thread()
        self._done_before = done

    def _add_thread(self) -> None:
        with self._free:
            if self._idle:
                self._free.notify()
            elif self.threads < self.max_threads:
                self.threads += 1
                try:
                    threading.Thread(target=self._serve, name=f"flowcore-{self.threads}", daemon=True).start()
                except RuntimeError:  # the system allows no more threads: a later slot tries again
                    self.threads -= 1

    def _serve(self) -> None:
        me = threading.get_ident()
        while not self._closed:
            try:
                strand = self._queue.popleft()
            except IndexError:
                with self._free:
                    self._idle += 1
                    # The timeout covers a strand that was queued between the check and the wait.
                    if not self._queue and not self._closed:
                        self._free.wait(0.5)
                    self._idle -= 1
                continue
            if self.threads > self._max_of_kind and self._is_at_limit(strand.kind):
                self._parked.append(strand)
                continue
            strand.since = time.monotonic()
            self.running[me] = strand
            strand.run()
            del self.running[me]
            self._done += 1

    def _is_at_limit(self, kind: str) -> bool:
        return sum(strand.kind == kind for strand in tuple(self.running.values())) >= self._max_of_kind

    def close(self) -> None:
        self._closed = True
        with self._free:
            self._free.notify_all()


class InlinePool:
    """Runs strands in the event loop's thread at the end of the slot, in the order in which they were queued."""

    def __init__(self) -> None:
        self._queue: deque[Strand] = deque()

    def submit(self, strand: Strand) -> None:
        self._queue.append(strand)

    def wake(self) -> None:
        """Do nothing: `rebalance` runs the queue, as the caller may be inside a node or in another thread."""

    def rebalance(self) -> None:
        while self._queue:
            self._queue.popleft().run()

    def close(self) -> None:
        self._queue.clear()
