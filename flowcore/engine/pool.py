"""Threads for the work that may block: a few, shared by all flows, more only while some are stuck.

A `Strand` is work that must not run in two threads at once: one chain of one flow. The pool keeps the strands that
have something to do in one line. Normally a single thread serves the line, which is cheapest under Python's global
lock. While that thread is stuck in one strand, others are woken or started, so that one dead disk or one hanging
engine holds up nobody else.
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
SHARE = 4
"""At most every fourth thread works on strands of one kind: one dead disk of many calls leaves the others enough."""


class Work(Protocol):
    """What a strand runs."""

    def work(self) -> None:
        """Do what is to be done now, and return."""

    def has_work(self) -> bool:
        """Whether there is anything to do."""


class Strand:
    """Serialises the calls of one ``Work``; ``ready`` may be called from any thread, as often as one likes.

    ``kind`` is the same for strands that would get stuck together: those of one node of the graph.
    """

    __slots__ = ("_lock", "_scheduled", "kind", "pool", "thread", "work")

    def __init__(self, pool: Pool, work: Work, kind: str = "") -> None:
        self.pool = pool
        self.kind = kind
        self.work = work
        self.thread = 0
        self._lock = threading.Lock()
        self._scheduled = False

    def ready(self) -> None:
        """There is something to do: get in line, unless already there."""
        if self._scheduled:
            return
        with self._lock:
            if self._scheduled:
                return
            self._scheduled = True
        self.pool.submit(self)

    def run(self) -> None:
        """Called by the pool."""
        self.thread = threading.get_ident()
        self.work.work()
        self.thread = 0
        with self._lock:
            self._scheduled = False
        if self.work.has_work():
            self.ready()

    def rest(self) -> None:
        """Let go of the work: whoever still says that there is something to do finds nothing."""
        self.work = _NOTHING

    def frame(self) -> FrameType | None:
        """The innermost call of the strand's thread now; None when it is not running."""
        return sys._current_frames().get(self.thread)

    def stack(self) -> str:
        """Where the strand's thread is now, innermost call last; empty when it is not running."""
        frame = self.frame()
        return "".join(traceback.format_stack(frame)[-4:]) if frame else ""


class _Nothing:
    def work(self) -> None:
        """Of a strand that rests."""

    def has_work(self) -> bool:
        return False


_NOTHING = _Nothing()


class Pool(Protocol):
    """Runs strands."""

    def submit(self, strand: Strand) -> None:
        """Put a strand in line; it runs after the next ``kick`` at the latest."""

    def wake(self) -> None:
        """See that the line moves. From any thread."""

    def rebalance(self) -> None:
        """Once a slot: get the line moving again if it is stuck."""

    def close(self) -> None:
        """Let idle threads go; a stuck one is left behind."""


class ThreadPool:
    """Threads named ``flowcore-N``, all daemons: a stuck one cannot keep the process from ending."""

    def __init__(self, max_threads: int = MAX_THREADS) -> None:
        self.max_threads = max_threads
        self._share = max(1, max_threads // SHARE)
        self.threads = 0
        self.working_since: dict[int, float] = {}
        """Threads that run a strand now, and since when, in monotonic seconds: for the watchdog."""
        self._kinds: dict[int, str] = {}  # what kind of strand each of those threads runs
        self._parked: deque[Strand] = deque()  # strands whose kind has its share of the threads
        self._line: deque[Strand] = deque()
        self._free = threading.Condition()
        self._idle = 0
        self._done = 0
        self._seen = -1
        self._closed = False

    def submit(self, strand: Strand) -> None:
        self._line.append(strand)

    def wake(self) -> None:
        if self._line and self.threads == self._idle:
            self._more()

    def rebalance(self) -> None:
        if self._parked:
            for _ in range(len(self._parked)):  # back in line, or parked again
                self._line.append(self._parked.popleft())
        done = self._done
        if self._line and (done == self._seen or self.threads == self._idle):
            self._more()
        self._seen = done

    def _more(self) -> None:
        with self._free:
            if self._idle:
                self._free.notify()
            elif self.threads < self.max_threads:
                self.threads += 1
                try:
                    threading.Thread(target=self._serve, name=f"flowcore-{self.threads}", daemon=True).start()
                except RuntimeError:  # the system gives no more: those that are there must do, and a later slot tries
                    self.threads -= 1

    def _serve(self) -> None:
        me = threading.get_ident()
        while not self._closed:
            try:
                strand = self._line.popleft()
            except IndexError:
                with self._free:
                    self._idle += 1
                    # The time-out covers a strand that got in line between the look and the wait.
                    if not self._line and not self._closed:
                        self._free.wait(0.5)
                    self._idle -= 1
                continue
            if self.threads > self._share and self._has_its_share(strand.kind):
                self._parked.append(strand)
                continue
            self._kinds[me] = strand.kind
            self.working_since[me] = time.monotonic()
            strand.run()
            del self.working_since[me]
            del self._kinds[me]
            self._done += 1

    def _has_its_share(self, kind: str) -> bool:
        return tuple(self._kinds.values()).count(kind) >= self._share

    def close(self) -> None:
        self._closed = True
        with self._free:
            self._free.notify_all()


class InlinePool:
    """Runs strands in the event loop's thread at the end of the slot, in the order they got ready."""

    def __init__(self) -> None:
        self._line: deque[Strand] = deque()

    def submit(self, strand: Strand) -> None:
        self._line.append(strand)

    def wake(self) -> None:
        """The end of the slot will do: who kicks may be in the middle of a node, or in another thread."""

    def rebalance(self) -> None:
        while self._line:
            self._line.popleft().run()

    def close(self) -> None:
        self._line.clear()
